"""Locks that senders take while they decide, so that a "stop" takes effect at one known moment.

A campaign, a chat and a bot are rows, locked FOR SHARE by whoever claims deliveries and FOR UPDATE by whoever changes
what the gate reads. Suppressions are rows that do not exist yet, so one advisory lock stands for all of them.
"""

from django.db import connection

# Any number no other lock of this database uses.
_SUPPRESSIONS = 0x5B_00_57_0F
_ERASING = 0x5B_00_57_10
# The statement of `suppressions_hold`, for who asks several at once.
SUPPRESSIONS_HOLD = ("SELECT pg_advisory_xact_lock_shared(%s)", _SUPPRESSIONS)
# The channel on which bots hear that something may be sendable.
DELIVERIES_CHANNEL = "deliveries"
# Its payload when something was queued.
QUEUED = "queued"
# Its payload when a rule changed: everything that waits is judged again, whatever time it was told to wait for.
RULES_CHANGED = "rules"


def suppressions_hold() -> None:
    """Until the transaction ends nobody is added to the suppressions."""
    _execute(*SUPPRESSIONS_HOLD)


def suppressions_close() -> None:
    """Wait for every claim under way; until the transaction ends nothing is claimed."""
    _execute("SELECT pg_advisory_xact_lock(%s)", _SUPPRESSIONS)


def erasing_hold() -> None:
    """Whoever is about to record something of a person: until the transaction ends nobody becomes an erased person, so
    that what `campaigns.suppressions.lookup.erased` says stays true. Taken before any other lock."""
    _execute("SELECT pg_advisory_xact_lock_shared(%s)", _ERASING)


def erasing_close() -> None:
    """Wait for everybody who records something now; whoever comes later sees who is erased."""
    _execute("SELECT pg_advisory_xact_lock(%s)", _ERASING)


def rules_changed() -> None:
    """Tell the senders, when the transaction commits, to judge again whatever waits."""
    _execute("SELECT pg_notify(%s, %s)", DELIVERIES_CHANNEL, RULES_CHANGED)


def _execute(sql: str, *params: int | str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
