"""An operator moves chats to another account while people write: each message is one hit, whichever account reads."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bots.models import Bot
from bots.roles import End
from campaigns.models import Chat
from parser.models import Hit, Keyword, WatchedChat
from parser.roles import ParserHandler
from parser.watching import moves
from telegram.types import IncomingMessage
from tests.integration import ledger
from tests.integration.leads_world import permit
from tests.support import wait_until
from tests.telegram.bots_support import Company, Listener, company_with


class TheParser(Listener):
    """The parser's own handler."""

    def __init__(self) -> None:
        super().__init__()
        self.parser = ParserHandler()

    def chats(self, bot_id: UUID) -> list[Chat]:
        self.looks[bot_id] += 1
        return self.parser.chats(bot_id)

    def on_messages(self, *, messages: Mapping[UUID, Sequence[IncomingMessage]]) -> None:
        self.parser.on_messages(messages=messages)

    def chats_looked_after(self, *, bot_id: UUID, at_end: Collection[End]) -> Collection[End]:
        return self.parser.chats_looked_after(bot_id=bot_id, at_end=at_end)


@pytest.fixture
def company(key_dir: Path, settings: Any, transactional_db: None) -> Iterator[Company]:
    with company_with(TheParser(), key_dir, settings) as company:
        yield company


def test_a_chat_moves_without_a_missed_message_or_a_second_hit(company: Company, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bots.worker.serving.CHATS_SECONDS", 0.2)
    # The sandbox's clock is the database's; Telegram's times are whole seconds.
    monkeypatch.setattr(moves, "AHEAD", timedelta(seconds=2))
    monkeypatch.setattr(moves, "AFTER", timedelta(seconds=1))
    campaign = ledger.make_campaign()
    Keyword.objects.create(campaign=campaign, text="plumber")
    places = [company.make_chat(name, kind=kind) for name, kind in (("square", "supergroup"), ("yard", "group"))]
    old, new = company.make_bot("old"), company.make_bot("new")
    for _, row in places:
        permit(row, "parse")
        WatchedChat.objects.create(campaign=campaign, chat=row, bot=old)
    company.run(company.start(), old, new)
    company.online(old)
    said = Counter[str]()

    def say() -> None:
        for place, row in places:
            text = f"plumber {row.key} {said.total()}"
            company.say(place, text)
            said[text] += 1

    def moved_by(bot: Bot) -> bool:
        # Not so many that they delay the accounts.
        if said.total() - Hit.objects.count() < 10:
            say()
        return all(watch.bot_id == bot.pk for watch in WatchedChat.objects.all())

    say()
    wait_until(lambda: Hit.objects.count() == 2, what="the first hits")
    for _, row in places:
        moves.chat_move(chat_id=row.pk, source_id=old.pk, target_id=new.pk)
    wait_until(lambda: moved_by(new), what="both chats moved")
    say()
    wait_until(lambda: Hit.objects.count() >= said.total(), what="all hits")
    assert Counter(Hit.objects.values_list("text", flat=True)) == said
    readers = Counter(Hit.objects.values_list("chat__key", "bot__key"))
    assert readers.keys() == {(row.key, bot.key) for _, row in places for bot in (old, new)}
    for watch in WatchedChat.objects.all():
        hits = Hit.objects.filter(chat=watch.chat)
        assert not hits.filter(bot=old, said_at__gt=watch.read_since).exists()
        assert not hits.filter(bot=new, said_at__lte=watch.read_since).exists()
