"""Searches dead letters for the command line. The panel's list has the same filters."""

from dataclasses import dataclass, fields
from uuid import UUID

from django.db.models import Q, QuerySet

from messaging.models import DeadLetter

UNROUTABLE = "unroutable"


@dataclass(frozen=True)
class DeadLetterSearch:
    """The filters of a search; empty ones match everything.

    `text` is searched for in bodies, reasons and errors. `type` is exchange/key.
    """

    ids: tuple[int, ...] = ()
    event: UUID | None = None
    queue: str = ""
    type: str = ""
    campaign: UUID | None = None
    reason: str = ""
    error: str = ""
    state: str = ""
    text: str = ""

    def __str__(self) -> str:
        """The filters in words, for the history."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if getattr(self, field.name)}
        numbers = ", ".join(map(str, given.pop("ids", ())))
        filters = [f"the numbers {numbers}"] if numbers else []
        filters += [f'{name} "{value}"' for name, value in given.items()]
        return f"all dead letters with {', '.join(filters)}" if filters else "all dead letters"

    def letters(self) -> QuerySet[DeadLetter]:
        """The matching letters, the newest first."""
        found = DeadLetter.objects.order_by("-last_seen_at", "-pk")
        exact = {"event_id": self.event, "event_type": self.type, "campaign_id": self.campaign}
        exact |= {"reason": self.reason, "error_class": self.error, "state": self.state}
        found = found.filter(**{name: value for name, value in exact.items() if value})
        if self.ids:
            found = found.filter(pk__in=self.ids)
        if self.queue:
            found = found.filter(queue="" if self.queue == UNROUTABLE else self.queue)
        if self.text:
            columns = ("body", "edited_body", "reason", "error")
            found = found.filter(Q(*((f"{column}__icontains", self.text) for column in columns), _connector=Q.OR))
        return found
