"""The only way to publish: an event is committed together with the change that it reports, and sent afterwards."""

from uuid import UUID

from django.db import connection, transaction

from messaging.broker import topology
from messaging.events import Event
from messaging.models import OutboxEvent

# The relay listens here; a notification that is lost costs at most one of its polls.
NOTIFY_CHANNEL = "outbox"
_LOWER_HALF = (1 << 64) - 1


def publish_on_commit(*events: Event) -> None:
    """Queue events for publishing in the caller's transaction: they go out if, and only if, it commits.

    Raises `TransactionManagementError` outside a transaction, where "if it commits" would mean nothing.
    """
    enqueue(
        *(
            OutboxEvent(
                event_id=event.id,
                service=event.publisher,
                exchange=event.exchange_name(),
                routing_key=event.routing_key,
                body=event.to_json(),
                headers={topology.TRACE_HEADER: traceparent(event.id)},
            )
            for event in events
        )
    )


def traceparent(event_id: UUID) -> str:
    """W3C Trace Context, level 1: the trace is the event, so its id finds the event in foreign tools and in ours.

    The publishing span's id is the lower half of the event's id; the standard forbids ids of zeros alone.
    """
    span = event_id.int & _LOWER_HALF
    return f"00-{event_id.int or 1:032x}-{span or 1:016x}-01"


def enqueue(*rows: OutboxEvent) -> None:
    """The raw form, for replays of dead letters; everything else publishes events."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("events are published inside a transaction: transaction.atomic()")
    OutboxEvent.objects.bulk_create(rows)
    notify_relay()


def notify_relay() -> None:
    """Wake the relay when the transaction commits: one NOTIFY, however often this is called.

    The marker lives in the transaction's list of commit hooks, so it goes away exactly when a savepoint's rollback
    takes the notification away.
    """
    if any(entry[1] is _marker for entry in connection.run_on_commit):
        return
    with connection.cursor() as cursor:
        cursor.execute(f"NOTIFY {NOTIFY_CHANNEL}")
    transaction.on_commit(_marker)


def _marker() -> None:
    """Says that this transaction has notified already."""
