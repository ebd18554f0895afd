"""The pages that cancel many deliveries (selected ones, or all that the list's filters match) and show the progress."""

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.dateparse import parse_datetime
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from bots.deliveries.cancelling import (
    MOST,
    CancellationRefused,
    cancellation_start,
    cancellation_stop,
    cancellations_advance,
    matching,
)
from bots.models import Delivery, MassCancellation
from messaging.database.clock import database_clock
from messaging.services import maintenance_pause
from panelkit.base import FactAdmin
from panelkit.labels import choice_label, clipped, page_of
from panelkit.lists.bounded_counts import count_of
from panelkit.lists.choosing import Chosen, all_matching, chosen_for
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.operation_pages import CONFIRMED
from panelkit.operations import Operation, when_in

State = Delivery.State
# The most deliveries that are cancelled during the request. More are cancelled in the background.
AT_ONCE = 200
# The moment of the confirmation: deliveries that are queued later are not cancelled.
UNTIL = "until"


class CancelManyMixin(FactAdmin):
    """The list's action and button that cancel many deliveries, after a page that shows how many."""

    list_before_template = "bots/deliveries_matching.html"
    actions = ("cancel_selected",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.cancel_view)
        return [path("cancel/", view, name=self._url_name("cancel")), *super().get_urls()]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return self.may_operate(request)

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel_selected(self, request: HttpRequest, selected: QuerySet[Delivery]) -> HttpResponse | None:
        chosen = chosen_for(request, action="cancel_selected", model=Delivery, noun="deliveries")
        return self._cancel(request, selected, chosen, submitted=CONFIRMED in request.POST)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        answer = super().changelist_view(request, extra_context)
        if isinstance(answer, TemplateResponse) and answer.context_data and "cl" in answer.context_data:
            # Sent deliveries cannot be cancelled, even if the filters match them.
            found: QuerySet[Delivery] = answer.context_data["cl"].queryset
            answer.context_data["queued"] = count_of(found.filter(state=State.QUEUED))
        return answer

    def cancel_view(self, request: HttpRequest) -> HttpResponse:
        try:
            deliveries = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(self._list_url())
        chosen = Chosen(all_matching(request, model=Delivery, noun="deliveries"), [])
        return self._cancel(request, deliveries, chosen, submitted=request.method == "POST")

    def _cancel(
        self, request: HttpRequest, deliveries: QuerySet[Delivery], chosen: Chosen, *, submitted: bool
    ) -> HttpResponse:
        if not self.may_operate(request):
            raise PermissionDenied
        until = _until(request) if submitted else None
        if until is not None:
            try:
                return HttpResponseRedirect(page_of(self._ordered(request, deliveries, chosen.what, until)))
            except CancellationRefused as refusal:
                self.message_user(request, f"Nothing was cancelled: {refusal}.", messages.ERROR)
        until = database_clock()
        counts = matching(deliveries=deliveries, until=until)
        queued, leaving = counts.pop(State.QUEUED, 0), counts.pop(State.SENDING, 0)
        context = {
            **self.admin_site.each_context(request),
            "title": "Cancel deliveries",
            "opts": self.opts,
            "what": chosen.what,
            "queued": queued,
            "leaving": leaving,
            "others": sum(counts.values()),
            "most": MOST,
            "hidden": [*chosen.hidden, (CONFIRMED, "1"), (UNTIL, until.isoformat())],
            "back": f"{self._list_url()}?{request.GET.urlencode()}",
        }
        return TemplateResponse(request, "bots/cancel_deliveries.html", context)

    def _ordered(
        self, request: HttpRequest, deliveries: QuerySet[Delivery], what: str, until: datetime
    ) -> MassCancellation:
        order = cancellation_start(
            deliveries=deliveries, until=until, by=str(request.user), what=what, user_id=request.user.pk
        )
        self.log_addition(request, order, f"Cancel {order.total} deliveries: {what}.")
        if order.total <= AT_ONCE:
            cancellations_advance(cancellation_id=order.pk)
        return order

    def _list_url(self) -> str:
        return reverse(f"admin:{self._url_name('changelist')}")


def _until(request: HttpRequest) -> datetime | None:
    try:
        until = parse_datetime(request.POST.get(UNTIL, ""))
    except ValueError:
        return None
    return until if until is not None and until.tzinfo is not None else None


@admin.register(MassCancellation)
class MassCancellationAdmin(FactAdmin):
    empty_hint = (
        "To cancel many deliveries, select or filter them in the list of deliveries. The progress is shown here."
    )
    list_display = ("created_at", "what_excerpt", "by", "total", "cancelled", "state_label", "finished_at")
    list_filter = (("state", ChoicesDropdownFilter), ("created_at", RangeDateTimeFilter))
    search_fields = ("what", "by")
    large_fields = ("delivery_ids",)
    ordering = ("-created_at",)
    fields = (("by", "created_at"), "what", "finished_at")
    live_template = "bots/cancellation_progress.html"
    live_seconds = 2
    service_errors = (CancellationRefused,)
    state_label = choice_label("state")
    operations = (
        Operation(
            "stop",
            "Stop",
            run=lambda order, call: cancellation_stop(cancellation_id=order.pk),
            done="is stopped.",
            icon="stop",
            when=when_in(MassCancellation.State.RUNNING),
            confirm="Deliveries that are not cancelled yet stay queued. Cancelled deliveries stay cancelled.",
        ),
    )

    def live_context(self, row: Any) -> dict[str, Any]:
        pause = maintenance_pause() if row.state == MassCancellation.State.RUNNING else None
        percent, late = 100 * row.position / row.total, row.position - row.cancelled
        return {"order": row, "percent": percent, "late": late, "pause": pause}

    @display(description="selection")
    def what_excerpt(self, order: MassCancellation) -> str:
        return clipped(order.what)
