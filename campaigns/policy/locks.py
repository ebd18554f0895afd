"""Advisory locks between the claims of deliveries and changes of what the gate reads: a stop takes effect at once.

Campaigns, chats and bots have rows to lock: a transaction that claims deliveries locks them FOR SHARE, and a
transaction that changes what the gate reads locks them FOR UPDATE. A new suppression has no row to lock yet, so one
advisory lock stands for all suppressions, and another one for all erasures.
"""

from django.db import connection

# Numbers of advisory locks. No other lock of this database may use them.
_SUPPRESSIONS = 0x5B_00_57_0F
_ERASURES = 0x5B_00_57_10
# The SQL and parameter of `suppressions_lock_shared`, for callers that send several statements in one round trip.
SUPPRESSIONS_LOCK_SHARED = ("SELECT pg_advisory_xact_lock_shared(%s)", _SUPPRESSIONS)


def suppressions_lock_shared() -> None:
    """Keep suppressions from being added until the transaction ends. Waits while another transaction adds one."""
    _execute(*SUPPRESSIONS_LOCK_SHARED)


def suppressions_lock_exclusive() -> None:
    """Wait for all claims in progress, and keep deliveries from being claimed until the transaction ends."""
    _execute("SELECT pg_advisory_xact_lock(%s)", _SUPPRESSIONS)


def erasures_lock_shared() -> None:
    """Keep people from being marked as erased until the transaction ends.

    Call it before recording anything about a person, so that the result of `campaigns.suppressions.lookup.erased`
    stays true, and before taking any other lock.
    """
    _execute("SELECT pg_advisory_xact_lock_shared(%s)", _ERASURES)


def erasures_lock_exclusive() -> None:
    """Wait for all transactions that called `erasures_lock_shared`.

    Transactions that call it later see who is erased.
    """
    _execute("SELECT pg_advisory_xact_lock(%s)", _ERASURES)


def _execute(sql: str, key: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, [key])
