"""The pages of dead letters and of their history."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from messaging.admin.dead_letter_editing import DOWNLOAD, EDIT, DeadLetterEditing
from messaging.admin.dead_letter_filters import CampaignFilter, ErrorFilter, QueueFilter, ReasonFilter, TypeFilter
from messaging.admin.parts import (
    LARGE_DEAD_LETTER_COLUMNS,
    GrowingTableAdmin,
    ReasonForm,
    json_shown,
    json_text_shown,
    trace_link,
)
from messaging.admin.replays import RateForm
from messaging.dead_letters import replays, services
from messaging.dead_letters.bodies import difference
from messaging.event_objects import CAMPAIGN_FIELD, name_of
from messaging.models import DeadLetter, DeadLetterEntry
from panelkit.base import FactAdmin
from panelkit.errors import NotPossible
from panelkit.labels import choice_label, clipped, link_to, page_of, preformatted
from panelkit.lists.choosing import Chosen, all_matching, chosen_for
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.operation_pages import CONFIRMED
from panelkit.operations import Offer, Operation, when_in


@admin.register(DeadLetter)
class DeadLetterAdmin(DeadLetterEditing, FactAdmin):
    empty_hint = "No dead letters. Messages that cannot be handled, expire or reach no queue are listed here."
    list_display = ("last_seen_at", "queue_label", "key_or_task", "reason", "error_excerpt", "count", "state_label")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        QueueFilter,
        TypeFilter,
        CampaignFilter,
        ReasonFilter,
        ErrorFilter,
        ("last_seen_at", RangeDateTimeFilter),
    )
    list_before_template = "messaging/replay_matching.html"
    search_fields = ("body", "edited_body", "reason", "error", "queue", "routing_key", "=event_id")
    search_help_text = "Searches bodies, edited bodies, reasons, errors, queues, routing keys and whole event ids."
    ordering = ("-last_seen_at",)
    live_template = "messaging/dead_letter_history.html"
    readonly_fields = (
        "state_label", "queue_label", "campaign", "trace", "body_shown", "traceback_shown", "headers_shown",
        "x_death_shown",
    )  # fmt: skip
    fieldsets = (
        (None, {"fields": (("reason", "error"), "body_shown", "traceback_shown")}),
        ("Origin", {"fields": (("queue_label", "event_type"), ("exchange", "routing_key"), ("campaign", "trace"))}),
        ("Original message", {"fields": ("headers_shown", "x_death_shown")}),
    )
    service_errors = (NotPossible,)
    actions = ("replay_selected",)
    operations = (
        Operation(
            "replay",
            "Replay",
            run=lambda letter, call: services.dead_letter_replay(letter_id=letter.pk, by=call.by),
            done="is in the outbox and will be sent to its queue again. Its history shows the outcome.",
            icon="replay",
            variant="primary",
            when=when_in(DeadLetter.State.OPEN),
        ),
        Operation(
            "discard",
            "Discard",
            run=lambda letter, call: services.dead_letter_discard(letter_id=letter.pk, by=call.by, **call.data),
            done="has been discarded.",
            icon="delete",
            variant="danger",
            when=when_in(DeadLetter.State.OPEN),
            confirm="The message will not be handled. The dead letter and your reason stay readable here.",
            form=ReasonForm,
            bulk=True,
        ),
        Operation(
            "reopen",
            "Reopen",
            run=lambda letter, call: services.dead_letter_reopen(letter_id=letter.pk, by=call.by),
            done="is open again.",
            icon="undo",
            when=when_in(DeadLetter.State.REPLAYED, DeadLetter.State.DISCARDED),
            confirm="An open dead letter can be replayed again. An event that was handled is not handled twice.",
            bulk=True,
        ),
    )

    state_label = choice_label("state")
    trace = trace_link

    def get_urls(self) -> list[URLPattern]:
        return [
            path("replay/", self.admin_site.admin_view(self.replay_view), name=self._url_name("replay")),
            path("<path:object_id>/edit/", self.admin_site.admin_view(self.edit_view), name=self._url_name("edit")),
            path("<path:object_id>/body/", self.admin_site.admin_view(self.body_view), name=self._url_name("body")),
            *super().get_urls(),
        ]

    def offers(self, request: HttpRequest, row: Model) -> list[Offer]:
        offers = super().offers(request, row)
        if not isinstance(row, DeadLetter):
            return offers
        offers = [*offers, Offer(DOWNLOAD, reverse(f"admin:{self._url_name('body')}", args=(row.pk,)))]
        if not self.may_operate(request) or row.state != DeadLetter.State.OPEN or row.task:
            return offers
        return [offers[0], Offer(EDIT, reverse(f"admin:{self._url_name('edit')}", args=(row.pk,))), *offers[1:]]

    def live_context(self, row: Any) -> dict[str, Any]:
        diff = difference(row.body, row.edited_body) if row.edited_body else []
        is_open = row.state == DeadLetter.State.OPEN
        refusal = services.replay_refusal(row) if is_open else ""
        entries = list(row.history.order_by("at", "pk"))
        replayed = row.state == DeadLetter.State.REPLAYED
        handled = replays.handled_since(row) if replayed else None
        return {
            "letter": row,
            "entries": entries,
            "diff": diff,
            "refusal": refusal,
            "replayed": replayed,
            "handled": handled,
        }

    # Replaying many: the selected dead letters, or all that match the list's filters and search.

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return self.may_operate(request)

    @admin.action(description="Replay", permissions=["operate"])
    def replay_selected(self, request: HttpRequest, selected: QuerySet[DeadLetter]) -> HttpResponse | None:
        chosen = chosen_for(request, action="replay_selected", model=DeadLetter, noun="dead letters")
        return self._replay(request, selected, chosen, submitted=CONFIRMED in request.POST)

    def replay_view(self, request: HttpRequest) -> HttpResponse:
        try:
            letters = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(self._list_url())
        chosen = Chosen(all_matching(request, model=DeadLetter, noun="dead letters"), [])
        return self._replay(request, letters, chosen, submitted=request.method == "POST")

    def _replay(
        self, request: HttpRequest, letters: QuerySet[DeadLetter], chosen: Chosen, *, submitted: bool
    ) -> HttpResponse:
        if not self.may_operate(request):
            raise PermissionDenied
        form = RateForm(request.POST) if submitted else RateForm(initial={"per_second": replays.DEFAULT_PER_SECOND})
        if submitted and form.is_valid():
            try:
                batch = replays.replay_start(
                    letters=letters,
                    by=str(request.user),
                    user_id=request.user.pk,
                    what=chosen.what,
                    **form.cleaned_data,
                )
                return HttpResponseRedirect(page_of(batch))
            except NotPossible as refusal:
                self.message_user(request, f"No dead letter was replayed: {refusal}.", messages.ERROR)
        context = {
            **self.admin_site.each_context(request),
            "title": "Replay dead letters",
            "opts": self.opts,
            "what": chosen.what,
            "dry_run": replays.dry_run(letters),
            "form": form,
            "hidden": [*chosen.hidden, (CONFIRMED, "1")],
            "back": f"{self._list_url()}?{request.GET.urlencode()}",
        }
        return TemplateResponse(request, "messaging/replay.html", context)

    def _list_url(self) -> str:
        return reverse(f"admin:{self._url_name('changelist')}")

    @display(description="queue", ordering="queue")
    def queue_label(self, letter: DeadLetter) -> str:
        return letter.queue or "unroutable"

    @display(description="routing key or task", ordering="routing_key")
    def key_or_task(self, letter: DeadLetter) -> str:
        return letter.task or letter.routing_key

    @display(description="campaign")
    def campaign(self, letter: DeadLetter) -> str:
        if letter.campaign_id is None:
            return ""
        return name_of(CAMPAIGN_FIELD, str(letter.campaign_id))

    @display(description="error")
    def error_excerpt(self, letter: DeadLetter) -> str:
        return clipped(letter.error)

    @display(description="body")
    def body_shown(self, letter: DeadLetter) -> SafeString:
        return json_text_shown(letter.body)

    @display(description="traceback")
    def traceback_shown(self, letter: DeadLetter) -> SafeString:
        return preformatted(letter.traceback)

    @display(description="headers")
    def headers_shown(self, letter: DeadLetter) -> SafeString:
        return json_shown(letter.headers)

    @display(description="x-death")
    def x_death_shown(self, letter: DeadLetter) -> SafeString:
        return json_shown(letter.x_death)


@admin.register(DeadLetterEntry)
class DeadLetterEntryAdmin(GrowingTableAdmin):
    empty_hint = "No entries. Edits, replays and decisions are listed here, with the users who made them."
    list_display = ("at", "action_label", "letter_link", "by", "note_excerpt")
    list_filter = (("what", ChoicesDropdownFilter), ("at", RangeDateTimeFilter))
    list_select_related = ("letter",)
    large_fields = LARGE_DEAD_LETTER_COLUMNS
    search_fields = ("by", "note", "=replay", "=letter__event_id")
    ordering = ("-pk",)
    exclude = ("note",)
    readonly_fields = ("note_shown",)
    action_label = choice_label("what", "action")

    @display(description="dead letter")
    def letter_link(self, entry: DeadLetterEntry) -> SafeString:
        return link_to(entry.letter, str(entry.letter))

    @display(description="note")
    def note_excerpt(self, entry: DeadLetterEntry) -> str:
        return clipped(entry.note)

    @display(description="note")
    def note_shown(self, entry: DeadLetterEntry) -> SafeString:
        return preformatted(entry.note)
