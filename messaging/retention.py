"""How long rows are kept, and the deletion of older rows, for the bus and for some other tables."""

from datetime import timedelta

from django.db import connection

from messaging.database.clock import database_clock

# Published events, for traces and for the publish rate.
OUTBOX_DAYS = 1
# Must be longer than the longest outage to survive: afterwards copies of handled events may still arrive.
PROCESSED_DAYS = 7
# Used for an hour (`messaging.consuming.copies`).
COPY_DAYS = 1
# The archiver usually reads a failure at once, but its queue may be paused for days.
FAILURE_DAYS = 7
# Failed logins to the panel, for the list of failed logins. A lock lasts a day at most.
LOGIN_FAILURE_DAYS = 7
# Expired sessions are deleted at once: logins, and uploaded files that no operator confirmed (`import_drafts`).
SESSION_DAYS = 0
# Counters for past windows of the API's limits.
REQUEST_COUNT_DAYS = 1
# Counts of messages that parsers have read, for the operators' pages.
TALLY_DAYS = 90
# Posts of channels whose comments are read: later comments are left out.
POST_DAYS = 180
# Rows per statement: few, so that locks are short and little is repeated if the worker stops.
BATCH = 5_000

_TABLES = (
    ("messaging_outboxevent", "id", "published_at", OUTBOX_DAYS),
    ("messaging_processedevent", "id", "processed_at", PROCESSED_DAYS),
    ("messaging_handledcopy", "id", "handled_at", COPY_DAYS),
    ("messaging_handlingfailure", "id", "created_at", FAILURE_DAYS),
    ("django_session", "session_key", "expire_date", SESSION_DAYS),
    ("axes_accessattempt", "id", "attempt_time", LOGIN_FAILURE_DAYS),
    ("parser_discussionpost", "id", "created_at", POST_DAYS),
    ("parser_readtally", "id", "day", TALLY_DAYS),
    ("coolthing_site_requestcount", "id", "ends_at", REQUEST_COUNT_DAYS),
)


def prune_all() -> dict[str, int]:
    """Delete old rows in batches. Returns the number of deleted rows by table. Unpublished events are never deleted."""
    return {table: _prune(table, key, column, timedelta(days=days)) for table, key, column, days in _TABLES}


def _prune(table: str, key: str, column: str, age: timedelta) -> int:
    # Rows that other transactions have locked are deleted next time. The ids are in an ARRAY, which is evaluated once:
    # a subquery after IN may be evaluated again for each row, and then skips the rows that it has just locked, so that
    # more than a batch is deleted. The time is a parameter, because a volatile function in WHERE prevents the use of
    # the index.
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
