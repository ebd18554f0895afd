"""Notifies the processes that send deliveries: a delivery was queued, or the gate has to check waiting ones again."""

from django.db import connection

# The NOTIFY channel on which bots learn that a delivery may be sendable.
DELIVERIES_CHANNEL = "deliveries"
# The payload when a delivery was queued.
QUEUED = "queued"
# The payload when a rule changed: the gate checks all waiting deliveries again, also those that wait for a later time.
RULES_CHANGED = "rules"


def rules_changed() -> None:
    """Notify the senders, when the transaction commits, that the gate must check all waiting deliveries again."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [DELIVERIES_CHANNEL, RULES_CHANGED])
