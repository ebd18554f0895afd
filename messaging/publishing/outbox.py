"""The outbox, the only way to publish: an event is committed with the change that it reports and sent afterwards."""

from django.db import connection, transaction

from messaging.broker import topology
from messaging.events import Event
from messaging.instrumentation.tracing import traceparent
from messaging.models import OutboxEvent

# The NOTIFY channel that the relay listens on. If a notification is lost, the relay finds the rows at its next poll.
NOTIFY_CHANNEL = "outbox"


def publish_on_commit(*events: Event) -> None:
    """Queue events for publishing in the caller's transaction. They are published if and only if it commits.

    Raises `TransactionManagementError` outside a transaction.
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


def enqueue(*rows: OutboxEvent) -> None:
    """Queue raw rows, for replays of dead letters. All other code calls `publish_on_commit`.

    Raises `TransactionManagementError` outside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("events are published inside a transaction: transaction.atomic()")
    OutboxEvent.objects.bulk_create(rows)
    notify_relay()


def notify_relay() -> None:
    """Wake the relay when the transaction commits, with one NOTIFY however often this is called.

    A commit hook marks that this transaction has notified. When a savepoint is rolled back, PostgreSQL drops the
    notification, and Django drops the hook with it.
    """
    if any(entry[1] is _marker for entry in connection.run_on_commit):
        return
    with connection.cursor() as cursor:
        cursor.execute(f"NOTIFY {NOTIFY_CHANNEL}")
    transaction.on_commit(_marker)


def _marker() -> None:
    """A commit hook that does nothing: its presence means that this transaction has notified already."""
