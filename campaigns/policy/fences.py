"""The locks between claiming deliveries and changing what the gate reads, so that a "stop" takes effect at once.

Campaigns, chats and bots are rows: a transaction that claims deliveries locks them FOR SHARE, one that changes what the
gate reads locks them FOR UPDATE. A new suppression has no row to lock yet, so one advisory lock stands for all
suppressions, and another one for all erasures.
"""

from django.db import connection

# Numbers of advisory locks. No other lock of this database may use them.
_SUPPRESSIONS = 0x5B_00_57_0F
_ERASING = 0x5B_00_57_10
# The SQL and parameter of `suppressions_hold`, for callers that send several statements in one round trip.
SUPPRESSIONS_HOLD = ("SELECT pg_advisory_xact_lock_shared(%s)", _SUPPRESSIONS)
# The NOTIFY channel on which bots learn that a delivery may be sendable.
DELIVERIES_CHANNEL = "deliveries"
# The payload when a delivery was queued.
QUEUED = "queued"
# The payload when a rule changed: the gate checks all waiting deliveries again, also those that wait for a later time.
RULES_CHANGED = "rules"


def suppressions_hold() -> None:
    """Keep suppressions from being added until the transaction ends. Waits while another transaction adds one."""
    _execute(*SUPPRESSIONS_HOLD)


def suppressions_close() -> None:
    """Wait for all claims in progress, and keep deliveries from being claimed until the transaction ends."""
    _execute("SELECT pg_advisory_xact_lock(%s)", _SUPPRESSIONS)


def erasing_hold() -> None:
    """Keep people from being marked as erased until the transaction ends.

    Call it before recording anything about a person, so that the result of `campaigns.suppressions.lookup.erased`
    stays true, and before taking any other lock.
    """
    _execute("SELECT pg_advisory_xact_lock_shared(%s)", _ERASING)


def erasing_close() -> None:
    """Wait for all transactions that called `erasing_hold`. Transactions that call it later see who is erased."""
    _execute("SELECT pg_advisory_xact_lock(%s)", _ERASING)


def rules_changed() -> None:
    """Notify the senders, when the transaction commits, that the gate must check all waiting deliveries again."""
    _execute("SELECT pg_notify(%s, %s)", DELIVERIES_CHANNEL, RULES_CHANGED)


def _execute(sql: str, *params: int | str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
