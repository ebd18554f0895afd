"""The steps of leads in an event's trace."""

from collections.abc import Iterator
from uuid import UUID

from leads.models import Lead
from messaging.observability.trace import TraceStep


def steps(event_id: UUID) -> Iterator[TraceStep]:
    for lead in Lead.objects.filter(event_id=event_id).select_related("campaign"):
        yield TraceStep(lead.created_at, "lead created", str(lead.campaign), str(lead), row=lead)
