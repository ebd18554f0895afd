"""The steps of hits in an event's trace."""

from collections.abc import Iterator
from uuid import UUID

from messaging.observability.trace import TraceStep
from parser.models import Hit


def steps(event_id: UUID) -> Iterator[TraceStep]:
    for hit in Hit.objects.filter(pk=event_id).select_related("chat", "look"):
        yield TraceStep(hit.created_at, "hit recorded", str(hit.chat), hit.keyword, row=hit)
        if hasattr(hit, "look"):
            look = hit.look
            by = f"by {look.get_judge_display()}" if look.judge else ""
            yield TraceStep(look.decided_at or look.created_at, f"second look: {look.state}", by, row=look)
