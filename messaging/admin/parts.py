"""Code that the bus's pages share."""

import json
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display
from unfold.paginator import InfinitePaginator
from unfold.widgets import UnfoldAdminTextInputWidget

from messaging.broker import topology
from messaging.dead_letters.bodies import indented
from panelkit.base import FactAdmin
from panelkit.labels import preformatted

# The maximum number of characters of a body on a page.
_MOST_SHOWN = 200_000

# The large columns of a dead letter that is loaded with `select_related`.
LARGE_DEAD_LETTER_COLUMNS = (
    "letter__body",
    "letter__edited_body",
    "letter__traceback",
    "letter__error",
    "letter__x_death",
)


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget)


class GrowingTableAdmin(FactAdmin):
    """A page for a table that grows with each event. It has pages but no count of all rows."""

    paginator = InfinitePaginator
    show_full_result_count = False


class QueueNameFilter(DropdownFilter):
    """Offers the topology's queues: to find those in the table, the database would read all rows."""

    title = parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(queue.name, queue.name) for queue in topology.TOPOLOGY.queues]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.parameter_name: self.value()}) if self.value() else queryset


@display(description="event")
def trace_link(_admin: Any, row: Any) -> SafeString:
    """A column that links to the event's trace, for any row that has an `event_id`."""
    return format_html('<a class="text-link" href="{}">{}</a>', reverse("trace", args=(row.event_id,)), row.event_id)


def json_shown(value: Any) -> SafeString:
    return preformatted(json.dumps(value, indent=2, ensure_ascii=False))


def json_text_shown(text: str) -> SafeString:
    """JSON with indentation; other text unchanged. Only the beginning of a very long text."""
    if len(text) > _MOST_SHOWN:
        return preformatted(
            f"{text[:_MOST_SHOWN]}\n… {len(text) - _MOST_SHOWN} more characters. Download the body to read them."
        )
    return preformatted(indented(text))
