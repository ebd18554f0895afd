"""Fills the ledger with six weeks of deliveries of many bots, campaigns, chats and people, by one statement."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from bench.bots.company import Company
from bots.models import Bot, Delivery, Role
from campaigns.models import Campaign, Chat

AGE = timedelta(days=42)
# Rows besides those that are measured: old bots, campaigns and chats, and people.
OLD_MANAGERS, OLD_CAMPAIGNS, OLD_CHATS, PEOPLE = 100, 30, 800, 100_000
FIRST_PERSON = 8_000_000_000

# Random properties of each row: in a chat or to a person (a few are known only by username), and the outcome.
_CASTS = """
    SELECT n, random() AS lot, random() AS outcome, random() AS named,
        (random() * random() * %(people)s)::bigint AS person,
        (%(actors)s::uuid[])[1 + floor(random() * cardinality(%(actors)s))::int] AS actor,
        (%(managers)s::uuid[])[1 + floor(random() * cardinality(%(managers)s))::int] AS manager,
        (%(campaigns)s::uuid[])[1 + floor(random() * cardinality(%(campaigns)s))::int] AS campaign,
        (%(chats)s::uuid[])[1 + floor(random() * cardinality(%(chats)s))::int] AS chat,
        %(begin)s::timestamptz + (%(age)s::interval * (n - random()) / %(rows)s) AS at
    FROM generate_series(1, %(rows)s) AS n
"""
_SCRIPT = "lot < 0.6"
_BY_NAME = "lot >= 0.6 AND named < 0.05"
_ATTEMPTED = "outcome < 0.98"
_SENT = "outcome < 0.95"
# Column → its expression. Every other column has its field's default.
_COLUMNS = {
    "id": "gen_random_uuid()",
    "bot_id": f"CASE WHEN {_SCRIPT} THEN actor ELSE manager END",
    "campaign_id": "campaign",
    "chat_id": f"CASE WHEN {_SCRIPT} THEN chat END",
    "peer_id": f"CASE WHEN NOT ({_SCRIPT}) AND NOT ({_BY_NAME}) THEN %(first_person)s + person END",
    "peer_username": f"CASE WHEN {_BY_NAME} THEN 'Person_' || person ELSE '' END",
    "text": "'Has anybody tried the bakery at the corner of street number ' || n || ' in the last few days?'",
    "purpose": f"CASE WHEN {_SCRIPT} THEN 'script' WHEN lot < 0.7 THEN 'first_contact'"
    " WHEN lot < 0.95 THEN 'reply' ELSE 'operator' END",
    "origin": f"CASE WHEN {_SCRIPT} THEN 'scripts.step' ELSE 'leads.message' END",
    "origin_id": "gen_random_uuid()",
    "random_id": "hashint8extended(n, 1)",
    "state": f"CASE WHEN {_SENT} THEN 'sent' WHEN outcome < 0.979 THEN 'failed' WHEN {_ATTEMPTED} THEN 'unknown'"
    " WHEN outcome < 0.99 THEN 'refused' ELSE 'cancelled' END",
    "due_at": "at - interval '2 seconds'",
    "attempts": f"CASE WHEN {_ATTEMPTED} THEN 1 ELSE 0 END",
    "first_attempt_at": f"CASE WHEN {_ATTEMPTED} THEN at END",
    "lease_epoch": f"CASE WHEN {_ATTEMPTED} THEN 1 END",
    "counted_at": f"CASE WHEN {_ATTEMPTED} THEN at END",
    "telegram_message_id": f"CASE WHEN {_SENT} THEN n END",
    "sent_at": f"CASE WHEN {_SENT} THEN at + interval '1 second' END",
    # The sandbox does not have these messages, so a bot that checks its old messages would find them deleted.
    "deleted_at": f"CASE WHEN {_SENT} THEN at + interval '1 hour' END",
    "created_at": "at - interval '3 seconds'",
}


def grow(company: Company, rows: int) -> None:
    """Add `rows` settled deliveries. Call `tidy` afterwards."""
    values: dict[str, Any] = {
        "rows": rows,
        "begin": timezone.now() - AGE,
        "age": AGE,
        "people": PEOPLE,
        "first_person": FIRST_PERSON,
        "actors": [bot.pk for bot in company.actors],
        "managers": _managers(),
        "campaigns": [*company.campaign_ids, *_old_campaigns()],
        "chats": [*(chat.pk for chat in company.stage_chats), *_old_chats()],
    }
    fields = Delivery._meta.concrete_fields
    defaults = {f"default_{field.column}": field.get_default() for field in fields if field.column not in _COLUMNS}
    expressions = [_COLUMNS.get(str(field.column), f"%(default_{field.column})s") for field in fields]
    columns = ", ".join(str(field.column) for field in fields)
    made = f"SELECT {', '.join(expressions)} FROM ({_CASTS}) AS lots"
    table = Delivery._meta.db_table
    with transaction.atomic(), connection.cursor() as cursor, _without_checks(cursor, table):
        cursor.execute(f"INSERT INTO {table} ({columns}) {made}", values | defaults)


def tidy() -> None:
    """Vacuum and analyze the tables, as autovacuum does, so that the planner knows them."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


@contextmanager
def _without_checks(cursor: CursorWrapper, table: str) -> Iterator[None]:
    """Drop foreign keys and indexes, and create them again afterwards. This is ten times as fast."""
    keys = _all(
        cursor,
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'f' AND %s::regclass IN (conrelid, confrelid)",
        table,
    )
    indexes = _all(
        cursor,
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s::regclass"
        " AND indexrelid NOT IN (SELECT conindid FROM pg_constraint)",
        table,
    )
    # Otherwise checks that Django has deferred to the end of the transaction prevent the drop.
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for owner, name, _ in keys:
        cursor.execute(f'ALTER TABLE {owner} DROP CONSTRAINT "{name}"')
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    for _, definition in indexes:
        cursor.execute(definition)
    for owner, name, definition in keys:
        cursor.execute(f'ALTER TABLE {owner} ADD CONSTRAINT "{name}" {definition}')


def _all(cursor: CursorWrapper, query: str, table: str) -> list[tuple[Any, ...]]:
    cursor.execute(query, [table])
    return list(cursor.fetchall())


def _managers() -> list[UUID]:
    bots = [Bot(key=f"manager-{number}", role=Role.MANAGER) for number in range(OLD_MANAGERS)]
    return _ids(Bot.objects.bulk_create(bots))


def _old_campaigns() -> list[UUID]:
    done = [
        Campaign(slug=f"old-{number}", name=f"Old {number}", state=Campaign.State.FINISHED)
        for number in range(OLD_CAMPAIGNS)
    ]
    return _ids(Campaign.objects.bulk_create(done))


def _old_chats() -> list[UUID]:
    chats = [Chat(key=f"old-{number}", reference=f"@old_{number}") for number in range(OLD_CHATS)]
    return _ids(Chat.objects.bulk_create(chats))


def _ids(rows: Sequence[Bot | Campaign | Chat]) -> list[UUID]:
    return [row.pk for row in rows]
