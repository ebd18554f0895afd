"""The benchmark of the bots, small: its world is whole, its figures mean what they say."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from bench.bots import company, decisions, ledger, progress, readers, report
from bench.bots.telegram import Telegram
from bots.models import Bot, Delivery
from parser.models import WatchedChat
from parser.services import messages_match
from scripts.models import Play
from telegram.types import Author, IncomingMessage

SESSIONS, ROWS = 10, 400


@pytest.fixture
def gathered(db: None, tmp_path: Path) -> company.Company:
    return company.gather(Telegram(tmp_path), sessions=SESSIONS, lines=2)


def rules_of_the_ledger() -> list[Any]:
    table = Delivery._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s ORDER BY 1", [table])
        indexes = cursor.fetchall()
        cursor.execute(
            "SELECT conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint "
            "WHERE %s::regclass IN (conrelid, confrelid) ORDER BY 1",
            [table],
        )
        return [*indexes, *cursor.fetchall()]


def test_the_ledger_grows_with_all_its_rules_in_force_afterwards(gathered):
    before, queued = rules_of_the_ledger(), Delivery.objects.count()
    ledger.grow(gathered, ROWS)
    assert rules_of_the_ledger() == before
    assert Delivery.objects.count() == queued + ROWS
    grown = Delivery.objects.exclude(state="queued")
    assert {purpose for (purpose,) in grown.values_list("purpose").distinct()} == {
        "script", "first_contact", "reply", "operator",
    }  # fmt: skip
    counted = sorted(at for (at,) in grown.values_list("counted_at") if at is not None)
    assert counted[-1] - counted[0] > 0.9 * ledger.AGE


def test_decisions_are_measured_and_change_nothing(gathered):
    before = list(Delivery.objects.order_by("id").values_list("id", "state", "counted_at"))
    found = decisions.measure(gathered, samples=8)
    assert found.alone.samples == 8
    assert 0 < found.alone.p50 <= found.alone.p99
    assert list(Delivery.objects.order_by("id").values_list("id", "state", "counted_at")) == before
    assert not Bot.objects.exclude(lease_owner="").exists()


def test_every_actor_plays_and_every_parser_reads(gathered):
    assert len(gathered.actors) == len(gathered.parsers) == Play.objects.count() == SESSIONS
    assert all(bot.watches.count() == company.READERS for bot in gathered.parsers)
    assert all(bot.steps.exists() for bot in gathered.actors[:2])


def test_one_message_in_so_many_is_a_hit_of_one_campaign(db: None, tmp_path: Path):
    gathered, count = readers.gather(Telegram(tmp_path)), 2 * readers.HIT_EVERY + 1
    Bot.objects.update(enabled=True)
    by_place = {watch.chat.telegram_id: watch.bot_id for watch in WatchedChat.objects.select_related("chat")}
    heard: dict[UUID, list[IncomingMessage]] = {}
    for number, (sender, peer_id, text) in enumerate(gathered.messages(count), 1):
        message = IncomingMessage(
            peer_id, number, sender, "", "", text, timezone.now(), False, None, False, author=Author("person")
        )
        heard.setdefault(by_place[peer_id], []).append(message)
    assert len(messages_match(messages=heard)) == gathered.hits_in(count) == 3


def test_a_rate_leaves_out_the_ramp_and_the_last_few():
    samples = [(0.0, 0), (10.0, 10), (11.0, 60), (12.0, 98), (60.0, 100)]
    assert progress.steady(samples, 100) == pytest.approx((98 - 10) / 2)


def test_what_was_not_measured_is_neither_met_nor_missed():
    document = report.document(
        report.Results(), mode="quick", about={"sessions": 1, "gate_rows": 1}, failures=["sessions: no broker"]
    )
    assert document["rss_mb"] is document["gate_p99_ms"] is None
    assert {target["met"] for target in document["targets"].values()} == {None}
