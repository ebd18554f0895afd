"""A parser's process is killed in the middle of a stream of messages: every matching message is one hit."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bots.models import Bot, Cursor
from campaigns.models import ChatPermission
from campaigns.permissions.services import permission_grant
from messaging.database.clock import database_clock
from parser.models import Hit, Keyword, WatchedChat
from tests.integration import ledger
from tests.support import ROOT, wait_until
from tests.telegram.bots.dying_reader import HITS, POINTS, MatchingListener
from tests.telegram.bots_support import Company, company_with, environment_of_processes, events

MESSAGES, HIT_EVERY = 90, 5


@pytest.fixture
def company(key_dir: Path, settings: Any, transactional_db: None) -> Iterator[Company]:
    with company_with(MatchingListener(), key_dir, settings) as company:
        yield company


@pytest.mark.parametrize("point", POINTS)
def test_after_a_parser_is_killed_in_a_stream_each_match_is_one_hit(company: Company, point: str):
    square, row = company.make_chat("square")
    permission_grant(chat_id=row.id, purpose=ChatPermission.Grant.PARSE, granted_by="Pavel", evidence="a letter")
    bot, campaign = company.make_bot("ears", row), ledger.make_campaign()
    Keyword.objects.create(campaign=campaign, text="tea")
    WatchedChat.objects.create(campaign=campaign, chat=row, bot=bot)
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.telegram.bots.dying_reader", point, str(bot.pk)],
        cwd=ROOT,
        env=environment_of_processes(),
    )
    try:
        wait_until(lambda: Cursor.objects.filter(bot=bot, peer_id__lt=0).exists(), what="the chat read")
        texts = [f"{'tea' if number % HIT_EVERY == 0 else 'coffee'} {number}" for number in range(MESSAGES)]
        company.say(square, *texts)
        assert worker.wait(60) == -signal.SIGKILL
    finally:
        worker.kill()
        worker.wait(60)
    before = Hit.objects.count()
    assert before >= HITS if point == "after_the_commit" else before < HITS
    wait_until(lambda: not company.connections(bot), what="the end of its connection")
    Bot.objects.filter(pk=bot.pk).update(lease_expires_at=database_clock())
    company.run(company.start(), bot)
    position = Cursor.objects.filter(bot=bot, peer_id__lt=0).values_list("last_message_id", flat=True)
    wait_until(lambda: position.get() >= MESSAGES, what="all messages read")
    wanted = texts[::HIT_EVERY]
    assert sorted(Hit.objects.values_list("text", flat=True)) == sorted(wanted)
    assert len(events(f"lead.{campaign.pk}")) == len(wanted)
