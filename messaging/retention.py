"""How long the bus remembers, and what else beat prunes with it."""

from datetime import timedelta

from django.db import connection

from messaging.database.clock import database_clock

# Confirmed by the broker: kept for whoever wants to look, and for the rate of publishing.
OUTBOX_DAYS = 1
# A copy of an event may still arrive after the longest outage that we mean to survive.
PROCESSED_DAYS = 7
# Looked at for an hour (`messaging.consuming.copies`).
COPY_DAYS = 1
# The archiver reads a failure within moments; a pause of its queue may last longer.
FAILURE_DAYS = 7
# Of the panel's logins: what failed is looked at for some days; a lock lasts a day at most.
LOGIN_FAILURE_DAYS = 7
# What has expired goes at once: logins, and files with names that nobody confirmed (`import_drafts`).
SESSION_DAYS = 0
# Spans of the API's limits that are over.
REQUEST_COUNT_DAYS = 1
# Rows a statement: short locks, and little to redo when the worker stops in between.
BATCH = 5_000

_TABLES = (
    ("messaging_outboxevent", "id", "published_at", OUTBOX_DAYS),
    ("messaging_processedevent", "id", "processed_at", PROCESSED_DAYS),
    ("messaging_handledcopy", "id", "handled_at", COPY_DAYS),
    ("messaging_handlingfailure", "id", "created_at", FAILURE_DAYS),
    ("django_session", "session_key", "expire_date", SESSION_DAYS),
    ("axes_accessattempt", "id", "attempt_time", LOGIN_FAILURE_DAYS),
    ("coolthing_site_requestcount", "id", "ends_at", REQUEST_COUNT_DAYS),
)


def prune_all() -> dict[str, int]:
    """Delete what is past its time, in batches; the number of rows by table. Unpublished events are never deleted."""
    return {table: _prune(table, key, column, timedelta(days=days)) for table, key, column, days in _TABLES}


def _prune(table: str, key: str, column: str, age: timedelta) -> int:
    # Rows that somebody else works on are left to the next time. An array is read once; a subquery after IN is read
    # again for each row where the planner likes to, and skips those that it has just locked: more than a batch.
    # The time goes in as a parameter: a volatile function inside WHERE would keep the index from being used.
    before = database_clock() - age
    removed = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {table} WHERE {key} = ANY(ARRAY("
                f"SELECT {key} FROM {table} WHERE {column} < %s LIMIT {BATCH} FOR UPDATE SKIP LOCKED))",
                [before],
            )
            count = cursor.rowcount
        removed += count
        if count < BATCH:
            return removed
