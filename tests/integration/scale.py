"""A database with years of history (more than a million rows), and the plans of what is asked there.

The database is a copy of the test's own and dropped afterwards: rows that were rolled back would remain in
everybody's tables, and in the planner's figures, until a vacuum.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection, models
from django.db.backends.utils import CursorWrapper

ROWS, FEWER = 200_000, 10_000
BOTS, CAMPAIGNS, CHATS, ASSIGNMENTS, PLAYS = 400, 40, 900, 400, 4_000
# Reading a table up to this size as a whole is cheap.
SMALL = 1_000


def key(table: str, number: str = "n") -> str:
    """The primary key of a table's row of this number, as SQL: random, and known."""
    return f"md5('{table}' || ({number}))::uuid"


def one_of(table: str, many: int) -> str:
    return key(table, f"1 + n %% {many}")


# Rows, and the columns that differ from what their type says; in the order of foreign keys.
_CAMPAIGN, _BOT, _CHAT = one_of("campaign", CAMPAIGNS), one_of("bot", BOTS), one_of("chat", CHATS)
_SENT = "CASE WHEN n %% 2000 = 0 THEN 'queued' WHEN n %% 20000 = 1 THEN 'sending' ELSE 'sent' END"
_AGO = "now() - n * interval '5 seconds'"
FILLED: dict[str, tuple[int, dict[str, str]]] = {
    "campaigns.Campaign": (CAMPAIGNS, {"id": key("campaign"), "slug": "'c' || n", "state": "'running'"}),
    "campaigns.Chat": (CHATS, {"id": key("chat"), "key": "'chat' || n", "telegram_id": "-1000000000000 - n"}),
    "campaigns.ChatPermission": (CHATS, {"chat_id": _CHAT, "purpose": "'script'", "valid_until": "NULL"}),
    "campaigns.Suppression": (FEWER, {"telegram_user_id": "9000000 + n", "username": "'Gone' || n"}),
    "campaigns.Budget": (ROWS, {"scope": "'peer'", "key": "n::text", "limit": "5", "window_seconds": "3600"}),
    "bots.Bot": (BOTS, {"id": key("bot"), "key": "'bot' || n", "role": "'manager'", "lease_expires_at": "NULL"}),
    "bots.BotStateChange": (FEWER, {"bot_id": _BOT}),
    "bots.BotBlock": (BOTS, {"bot_id": _BOT, "method": "'m' || n"}),
    "bots.Cursor": (FEWER, {"bot_id": _BOT, "peer_id": "n"}),
    "bots.Presence": (FEWER, {"bot_id": _BOT, "chat_id": one_of("chat", 899), "peer_id": "-n"}),
    "bots.JoinRequest": (FEWER, {"bot_id": _BOT, "chat_id": one_of("chat", 899), "at": _AGO}),
    "bots.Delivery": (
        ROWS,
        {
            "id": key("delivery"),
            "bot_id": _BOT,
            "campaign_id": _CAMPAIGN,
            "peer_id": "n",
            "peer_username": "'Name' || n",
            "text": "'Hello ' || n",
            "purpose": "'reply'",
            "origin": "'leads.message'",
            "origin_id": key("message"),
            "random_id": "n",
            "state": _SENT,
            "counted_at": _AGO,
            "sent_at": _AGO,
            "telegram_message_id": "n",
            "reply_to_id": "NULL",
        },
    ),
    "bots.DeliveryEvent": (FEWER, {"delivery_id": key("delivery"), "kind": "'waited'"}),
    "bots.MassCancellation": (BOTS, {"state": "'done'", "delivery_ids": "'{}'"}),
    "parser.Keyword": (CAMPAIGNS, {"campaign_id": _CAMPAIGN, "kind": "'plus'", "text": "'word' || n"}),
    "parser.Hit": (
        ROWS,
        {
            "id": key("hit"),
            "campaign_id": _CAMPAIGN,
            "bot_id": _BOT,
            "chat_id": _CHAT,
            "peer_id": "-n",
            "message_id": "n",
            "telegram_user_id": "n",
            "username": "'Name' || n",
            "text": "'tea ' || n",
        },
    ),
    "parser.HitLook": (
        ROWS,
        {
            "hit_id": key("hit"),
            "campaign_id": _CAMPAIGN,
            "state": "CASE WHEN n %% 2000 = 0 THEN 'due' WHEN n %% 2000 = 1 THEN 'waiting' ELSE 'passed' END",
            "judge": "CASE WHEN n %% 2000 < 2 THEN '' ELSE 'rules' END",
            "due_at": _AGO,
            "digest": "CASE WHEN n %% 2 = 0 THEN hashtextextended(n::text, 0) END",
            "simhash": "CASE WHEN n %% 2 = 1 THEN hashtextextended(n::text, 0) END",
            "created_at": _AGO,
        },
    ),
    "leads.Lead": (
        ROWS,
        {
            "id": key("lead"),
            "campaign_id": _CAMPAIGN,
            "telegram_user_id": "n",
            "username": "'Name' || n",
            "state": "CASE WHEN n %% 1000 = 0 THEN 'new' WHEN n %% 1000 = 1 THEN 'opted_out' ELSE 'talking' END",
            "message": "'tea ' || n",
            "chat_id": "-1000000000001 - n %% 900",
        },
    ),
    "leads.Conversation": (
        ROWS,
        {
            "id": key("conversation"),
            "lead_id": key("lead"),
            "bot_id": _BOT,
            "owner": "CASE WHEN n %% 500 = 0 THEN 'human' WHEN n %% 500 = 1 THEN 'ai' ELSE 'none' END",
            "peer_id": "n",
        },
    ),
    "leads.Message": (
        ROWS,
        {
            "id": key("message"),
            "conversation_id": key("conversation"),
            "author": "'ai'",
            "text": "'Hello ' || n",
            "telegram_message_id": "n",
            "delivery_id": key("delivery"),
            "deleted_at": "NULL",
        },
    ),
    "leads.LlmJob": (
        FEWER,
        {"conversation_id": key("conversation"), "state": "CASE WHEN n %% 2000 = 0 THEN 'due' ELSE 'done' END"},
    ),
    "leads.UnclaimedMessage": (FEWER, {"conversation_id": key("conversation"), "given_up_at": "now()"}),
    "scripts.Script": (50, {"id": key("script"), "slug": "'s' || n"}),
    "scripts.Assignment": (
        ASSIGNMENTS,
        {
            "id": key("assignment"),
            "campaign_id": _CAMPAIGN,
            "script_id": one_of("script", 50),
            "state": "CASE WHEN n = 7 THEN 'playing' ELSE 'finished' END",
            "snapshot": "'{}'",
            "finished_at": "CASE WHEN n = 7 THEN NULL ELSE now() END",
        },
    ),
    "scripts.Play": (
        PLAYS,
        {
            "id": key("play"),
            "sfc_id": one_of("assignment", ASSIGNMENTS),
            "chat_id": one_of("chat", 899),
            "state": f"CASE WHEN n %% {ASSIGNMENTS} = 7 THEN 'playing' ELSE 'finished' END",
        },
    ),
    "scripts.Step": (
        ROWS,
        {
            "id": key("step"),
            "run_id": one_of("play", PLAYS),
            "bot_id": _BOT,
            "position": f"1 + n / {PLAYS}",
            "line_id": "gen_random_uuid()",
            "state": f"CASE WHEN n %% {ASSIGNMENTS} = 7 AND n > {ROWS - PLAYS} THEN 'pending' ELSE 'said' END",
            "delivery_id": key("delivery"),
        },
    ),
    "messaging.OutboxEvent": (FEWER, {"body": "'{}'", "published_at": _AGO}),
    "messaging.ProcessedEvent": (FEWER, {"subscription": "'leads_queue'"}),
    "messaging.HandledCopy": (FEWER, {"subscription": "'leads_queue'"}),
    "messaging.HandlingFailure": (FEWER, {"queue": "'leads_queue'", "body_digest": "md5(n::text)"}),
    "messaging.DeadLetter": (
        FEWER,
        {
            "queue": "'leads_queue'",
            "event_type": "'lead.*'",
            "error_class": "'KeyError'",
            "campaign_id": _CAMPAIGN,
            "state": "CASE WHEN n %% 1000 = 0 THEN 'open' ELSE 'discarded' END",
        },
    ),
    "messaging.DeadLetterEntry": (FEWER, {"letter_id": "n", "what": "'discarded'"}),
    "messaging.ReplayBatch": (1, {"id": key("batch"), "state": "'done'"}),
    "messaging.ReplayItem": (FEWER, {"batch_id": key("batch", "1"), "letter_id": "n", "state": "'sent'"}),
    "messaging.QueueSample": (FEWER, {"queue": "'q' || n %% 20", "at": "now() - (n / 20) * interval '15 seconds'"}),
    "notifier.Channel": (1, {"id": key("channel")}),
    "notifier.Notification": (FEWER, {"channel_id": key("channel", "1"), "state": "'sent'"}),
}
# What passes a row on as soon as it has one: below a LIMIT it reads no more than that needs.
_STREAMING = frozenset(
    {"Append", "Incremental Sort", "LockRows", "Materialize", "Memoize", "Merge Append", "Merge Join", "Nested Loop"}
    | {"ProjectSet", "Result", "Subquery Scan"}
)
_EXPLAINED = frozenset({"SELECT", "UPDATE", "DELETE", "INSERT", "WITH"})
_BY_TYPE: dict[type, str] = {
    models.UUIDField: "gen_random_uuid()",
    models.CharField: "'v' || n",
    models.TextField: "''",
    models.BooleanField: "false",
    models.DateTimeField: _AGO,
    models.JSONField: "'{}'",
    models.FloatField: "0",
    models.IntegerField: "0",
}


@contextmanager
def years_of_history() -> Iterator[None]:
    """Until then this process's database is the copy."""
    own = connection.settings_dict["NAME"]
    copied = f"{own}_years"
    connection.close()
    _administer(f'DROP DATABASE IF EXISTS "{copied}"', f'CREATE DATABASE "{copied}" TEMPLATE "{own}"')
    try:
        _use(copied)
        _fill()
        yield
    finally:
        connection.close()
        _use(own)
        _administer(f'DROP DATABASE "{copied}"')


def _use(name: str) -> None:
    connection.settings_dict["NAME"] = settings.DATABASES["default"]["NAME"] = name


def _administer(*statements: str) -> None:
    with connection._nodb_cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _fill() -> None:
    """Keys and indexes come last: row by row they take several times as long."""
    tables = [apps.get_model(label)._meta.db_table for label in FILLED]
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off; SET maintenance_work_mem = '256MB'")
        again = [*_without_constraints(cursor, tables), *_without_indexes(cursor, tables)]
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} SET UNLOGGED")
        cursor.execute("ALTER TABLE messaging_deadletter ALTER id RESTART")
        for label, (rows, columns) in FILLED.items():
            cursor.execute(_insert(apps.get_model(label), rows, columns), [])
        for statement in again:
            cursor.execute(statement)
        cursor.execute("VACUUM (ANALYZE)")


def _without_constraints(cursor: CursorWrapper, tables: list[str]) -> list[str]:
    """How primary and unique keys are made again; no plan needs the foreign keys and checks."""
    cursor.execute(
        """
        SELECT conrelid::regclass::text, conname, contype, pg_get_indexdef(nullif(conindid, 0)) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
            AND (contype = 'f' OR contype IN ('c', 'p', 'u') AND conrelid = ANY(%s::regclass[]))
        ORDER BY contype = 'p'
        """,
        [tables],
    )
    again = []
    for table, name, kind, index in cursor.fetchall():
        cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        if kind in "pu":
            again.append(index)
        if kind == "p":
            again.append(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" PRIMARY KEY USING INDEX "{name}"')
    return again


def _without_indexes(cursor: CursorWrapper, tables: list[str]) -> list[str]:
    cursor.execute(
        """
        SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
        WHERE indrelid = ANY(%s::regclass[])
        """,
        [tables],
    )
    found = cursor.fetchall()
    for name, _ in found:
        cursor.execute(f"DROP INDEX {name}")
    return [index for _, index in found]


def _insert(model: type[models.Model], rows: int, columns: dict[str, str]) -> str:
    values = {
        field.column: columns[field.column] if field.column in columns else _value(field)
        for field in model._meta.concrete_fields
        if field.column in columns
        or (isinstance(field, models.DateTimeField) and not field.null)
        or not (field.null or field.has_db_default() or isinstance(field, models.AutoField))
    }
    names = ", ".join(f'"{name}"' for name in values)
    table = model._meta.db_table
    return f"INSERT INTO {table} ({names}) SELECT {', '.join(values.values())} FROM generate_series(1, {rows}) AS n"


def _value(field: Any) -> str:
    for kind, value in _BY_TYPE.items():
        if isinstance(field, kind):
            return value
    return "''"


@dataclass
class Plans:
    """An execute wrapper that explains each statement once, before it is executed. `found`: what is read whole, by
    statement; `where`: what the test is doing."""

    found: dict[str, str] = field(default_factory=dict)
    explained: set[str] = field(default_factory=set)
    sizes: dict[str, float] = field(default_factory=dict)
    where: str = ""

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if not many and sql not in self.explained and sql.lstrip().split(None, 1)[0] in _EXPLAINED:
            self.explained.add(sql)
            self._explain(sql, params)
        return execute(sql, params, many, context)

    def _explain(self, sql: str, params: Any) -> None:
        # Not by the statement's own cursor, which may be one of the server's.
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
            answer = cursor.fetchone()[0]
        top = (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]
        if read := sorted(set(self._read_whole(top, limited=False))):
            self.found[sql] = f"{self.where} reads {', '.join(read)}: {sql}"

    def _read_whole(self, node: dict[str, Any], *, limited: bool) -> Iterator[str]:
        """The tables and indexes of which this part of a plan reads everything, however many rows it needs."""
        kind = node["Node Type"]
        if kind == "Seq Scan" and not (limited and "Filter" not in node):
            yield from self._if_large(node["Relation Name"])
        whole = "Index Cond" not in node and not (limited and "Filter" not in node)
        if kind in ("Index Scan", "Index Only Scan") and whole:
            yield from self._if_large(node["Index Name"])
        limited = kind == "Limit" or (limited and kind in _STREAMING)
        for child in node.get("Plans", ()):
            yield from self._read_whole(child, limited=limited)

    def _if_large(self, name: str) -> Iterator[str]:
        if not self.sizes:
            with connection.cursor() as cursor:
                cursor.execute("SELECT relname, reltuples FROM pg_class WHERE relkind IN ('r', 'i')")
                self.sizes.update(cursor.fetchall())
        # The catalogue grows with the number of tables, not with history; the query above reads it whole.
        if not name.startswith("pg_") and self.sizes[name] > SMALL:
            yield name
