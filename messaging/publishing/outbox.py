"""The only way to publish: an event is committed together with the change that it reports, and sent afterwards."""

from django.db import connection, transaction

from messaging.broker import topology
from messaging.events import Event
from messaging.instrumentation.tracing import traceparent
from messaging.models import OutboxEvent

# The relay listens here; a notification that is lost costs at most one of its polls.
NOTIFY_CHANNEL = "outbox"


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
