"""What `tests.lock_watch` finds in transactions, those of this file and its helpers, and what it lets pass."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.db.models import Model, Q, QuerySet

from bots.models import Bot
from campaigns.models import Campaign, Chat
from messaging.consuming.failures import retry_database_errors
from messaging.database.locks import rows_lock, rows_lock_with
from tests import lock_order, lock_watch
from tests.integration import ledger
from tests.integration.locks import at_once
from tests.support import ROOT

pytestmark = pytest.mark.django_db
Transaction = Callable[[], object]


@pytest.fixture
def found() -> Iterator[list[str]]:
    broken: list[str] = []
    with lock_watch.watching(broken.append, product=(__file__, ledger.__file__)):
        yield broken


@pytest.fixture
def rows() -> tuple[Campaign, Chat, list[Bot]]:
    bots = sorted((ledger.make_bot() for _ in range(2)), key=lambda bot: bot.pk)
    return ledger.make_campaign(), ledger.make_chat(permitted=False), bots


def lock(row: Model, *, skip_locked: bool = False) -> list[Model]:
    return list(type(row)._default_manager.filter(pk=row.pk).select_for_update(skip_locked=skip_locked))


def rename(row: Model) -> None:
    type(row)._default_manager.filter(pk=row.pk).update(key=uuid4().hex)


def bots(of: list[Bot]) -> QuerySet[Bot]:
    return Bot.objects.filter(pk__in=[bot.pk for bot in of])


def raw(sql: str, *params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


def test_a_table_that_comes_later_is_locked_first(found, rows):
    campaign, chat, [bot, _] = rows
    for first, second, at in ((chat, campaign, "campaigns_chat"), (bot, chat, "bots_bot")):
        found.clear()
        with transaction.atomic():
            rename(first)
            lock(second)
        [told] = found
        assert f"{second._meta.db_table} is locked after {at}" in told and "test_lock_watch.py" in told


def test_two_transactions_are_no_circle_of_one(found, rows):
    campaign, chat, _ = rows
    for row in (chat, campaign):
        with transaction.atomic():
            lock(row)
    lock_each_by_itself = transaction.atomic(lock)
    lock_each_by_itself(chat)
    lock_each_by_itself(campaign)
    with transaction.atomic():
        lock(campaign)
        lock(chat)
        lock(campaign)
    assert found == []


def test_statements_by_hand_and_advisory_locks_count(found, rows):
    campaign, chat, _ = rows
    statements = [f"SELECT id FROM campaigns_{table} WHERE id = %s FOR SHARE" for table in ("chat", "campaign")]
    with transaction.atomic():
        raw(";".join(statements), chat.pk, campaign.pk)
    assert "campaigns_campaign is locked after campaigns_chat" in found.pop()
    with transaction.atomic():
        raw("SELECT pg_advisory_xact_lock_shared(%s)", lock_watch.policy_locks._SUPPRESSIONS)
        raw("UPDATE campaigns_chat AS room SET key = %s WHERE room.id = %s", "renamed", chat.pk)
    assert "campaigns_chat is locked after suppressions" in found.pop() and not found


def test_rows_that_are_locked_and_not_read_count(found, rows):
    campaign, chat, _ = rows
    with transaction.atomic():
        lock(chat)
        assert rows_lock_with(Campaign.objects.all(), pk=campaign.pk)
    assert "campaigns_campaign is locked after campaigns_chat" in found.pop() and not found


def test_several_rows_are_locked_by_one_statement_in_the_order_of_their_keys(found, rows):
    _, _, mine = rows
    with transaction.atomic():
        list(bots(mine).order_by("pk").select_for_update())
        bots(mine).update(username="everybody")
    assert found == []
    wrong: list[tuple[Transaction, str]] = [
        (lambda: bots(mine).update(username="somebody"), "2 rows are locked in no order"),
        (lambda: list(bots(mine).order_by("-created_at").select_for_update()), "2 rows are locked in no order"),
        (lambda: list(bots(mine).order_by("-created_at").values_list("pk").select_for_update()), "2 rows are locked"),
        (lambda: [lock(bot) for bot in reversed(mine)], "locked by two statements"),
        (lambda: [rows_lock(bots([bot])) for bot in reversed(mine)], "locked by two statements"),
    ]
    for work, told in wrong:
        with transaction.atomic():
            work()
        assert told in found.pop() and not found


def test_a_change_names_its_row_or_finds_its_rows_locked(found, rows):
    _, _, [bot, other] = rows
    single = Bot.objects.filter(pk=bot.pk)
    either = Q(username="x") | Q(state=bot.state)
    for named in (single, single.exclude(username="x"), single.filter(either), Bot.objects.filter(key=bot.key)):
        with transaction.atomic():
            named.update(username="somebody")
    assert found == []
    # They find one row today.
    for many in (
        Bot.objects.filter(state=other.state).exclude(pk=bot.pk),
        Bot.objects.filter(Q(pk=bot.pk) | Q(key="")),
    ):
        with transaction.atomic():
            many.update(username="somebody")
        assert "if there were several" in found.pop() and not found


def test_what_stands_in_for_something_of_the_product_does_not_count(rows):
    _, _, mine = rows
    broken: list[str] = []
    with lock_watch.watching(broken.append):
        retry_database_errors("a queue", lambda: bots(mine).update(username="everybody"))
    assert broken == []


def test_by_one_statement_unless_all_go_by_the_keys(found, rows):
    campaign, _, mine = rows
    with transaction.atomic():
        for bot in mine:
            lock(bot)
    assert "bots_bot" in lock_order.ASCENDING and found == []
    other = ledger.make_campaign()
    with transaction.atomic():
        for row in sorted((campaign, other), key=lambda row: row.pk):
            lock(row)
    assert "campaigns_campaign: rows are locked by two statements" in found.pop() and not found


def test_what_was_locked_for_share_is_not_changed(found, rows):
    campaign, _, _ = rows
    with transaction.atomic():
        raw("SELECT id FROM campaigns_campaign WHERE id = %s FOR SHARE", campaign.pk)
        lock(campaign)
    assert "locked FOR SHARE, and then changed" in found.pop() and not found


def test_rows_of_its_own_those_given_back_and_those_it_does_not_wait_for_break_nothing(found, rows):
    campaign, chat, _ = rows
    with transaction.atomic():
        made = ledger.make_chat(permitted=False)
        lock(made)
        lock(campaign)
    with transaction.atomic():
        with pytest.raises(RuntimeError), transaction.atomic():
            lock(chat)
            raise RuntimeError
        lock(campaign)
    with transaction.atomic():
        lock(chat)
        lock(campaign, skip_locked=True)
    assert found == []


def test_a_part_is_locked_under_its_whole(found, rows):
    campaign, chat, _ = rows
    permission = chat.permissions.create(purpose="script", granted_by="x", evidence="x", granted_at=ledger.START)
    with transaction.atomic():
        lock(chat)
        raw("SELECT pg_advisory_xact_lock(%s)", lock_watch.policy_locks._SUPPRESSIONS)
        lock(permission)
    assert found == []
    with transaction.atomic():
        lock(permission)
        lock(campaign)
    assert "campaigns_campaign is locked after campaigns_chatpermission" in found.pop() and not found


def test_a_table_needs_a_place(found):
    with transaction.atomic():
        raw("SELECT id FROM django_migrations FOR UPDATE")
    assert any("django_migrations has no place" in told for told in found)


@pytest.mark.django_db(transaction=True)
def test_other_threads_count(found, rows):
    campaign, chat, _ = rows

    def wrong() -> None:
        with transaction.atomic():
            lock(chat)
            lock(campaign)

    at_once(wrong)
    assert "campaigns_campaign is locked after campaigns_chat" in found.pop() and not found


def test_the_order_is_the_one_that_is_written():
    page = (ROOT / "docs" / "architecture.md").read_text()
    section = page.partition("## The order of locks\n")[2].partition("\n## ")[0]
    written = re.findall(r"^\d+\. `(.+?)`", section, re.MULTILINE)
    assert tuple(written) == lock_order.ORDER
