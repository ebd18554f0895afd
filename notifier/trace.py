"""The steps of notifications in an event's trace."""

from collections.abc import Iterator
from uuid import UUID

from messaging.observability.trace import TraceStep
from notifier.models import Channel, Notification


def steps(event_id: UUID) -> Iterator[TraceStep]:
    # By channel and event, to use the unique index: there are few channels and very many events.
    recorded = Notification.objects.filter(
        channel__in=list(Channel.objects.values_list("pk", flat=True)), event_id=event_id
    )
    for row in recorded.select_related("channel"):
        yield TraceStep(row.created_at, "notification created", row.channel.name, row.title, row=row)
        if row.sent_at is not None:
            attempts = f"attempt {row.attempts}" if row.attempts > 1 else ""
            yield TraceStep(row.sent_at, "notification sent", row.channel.name, attempts, row=row)
