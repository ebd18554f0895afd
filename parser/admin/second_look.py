"""The pages of the second look: a campaign's settings and counts, and the verdicts on hits."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import StackedInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RelatedDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from campaigns.models import Campaign
from campaigns.pickers import OPEN_CAMPAIGN
from messaging.database.clock import database_clock
from panelkit.base import FactAdmin, PanelAdmin
from panelkit.errors import NotPossible
from panelkit.forms.suitable import SuitableForm, offer
from panelkit.labels import choice_label, clipped, link_to, waits
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.operations import Operation
from panelkit.registry import Section, add_section
from parser.models import Hit, HitLook, SecondLook
from parser.models.second_look import INSTRUCTIONS_MISSING
from parser.second_look.decisions import MOVES, look_pass, look_reject
from parser.second_look.selectors import look_counts, look_waits, tokens_today
from parser.second_look.senders import senders_of

State = HitLook.State
_FIELDS = (
    "enabled",
    ("least_words", "most_characters"),
    ("most_links", "advert_chats"),
    "blocked_senders",
    "use_llm",
    "instructions",
    ("least_score", "daily_tokens"),
)


class SecondLookForm(SuitableForm):
    suitable = {"campaign": OPEN_CAMPAIGN}

    def clean_blocked_senders(self) -> list[str]:
        try:
            return senders_of(self.cleaned_data["blocked_senders"])
        except ValueError as wrong:
            raise ValidationError(f"{wrong} is neither a Telegram id nor a @username.") from None

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if given.get("use_llm") and not str(given.get("instructions", "")).strip() and not self.errors:
            self.add_error("instructions", INSTRUCTIONS_MISSING)
        return given


offer(SecondLookForm, "parser.SecondLook")


class SecondLookInline(StackedInline):
    model = SecondLook
    form = SecondLookForm
    fields = _FIELDS
    verbose_name_plural = "Second look"
    tab = True
    hide_title = True
    max_num = 1

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        return 0 if obj is not None and hasattr(obj, "second_look") else 1


def _counts(campaign: Campaign) -> dict[str, Any]:
    now = database_clock()
    settings = SecondLook.objects.select_related("campaign").filter(campaign=campaign).first()
    return {
        "settings": settings,
        "counts": look_counts(campaign=campaign, now=now),
        "tokens": tokens_today(settings=settings, now=now) if settings else 0,
        "list": f"{reverse('admin:parser_hitlook_changelist')}?campaign__id__exact={campaign.pk}",
    }


add_section(
    Campaign, Section("parser/second_look.html", _counts, name="second_look", title="Results of the second look")
)


@admin.register(SecondLook)
class SecondLookAdmin(PanelAdmin):
    form = SecondLookForm
    empty_hint = "Without a second look, each hit of a campaign becomes a lead at once."
    list_display = ("campaign", "enabled", "use_llm", "least_score", "tokens")
    list_filter = ("enabled", "use_llm", ("campaign", RelatedDropdownFilter))
    list_select_related = ("campaign",)
    search_fields = ("campaign__name",)
    autocomplete_fields = ("campaign",)
    ordering = ("campaign__name",)
    fields = ("campaign", *_FIELDS)

    @display(description="tokens today")
    def tokens(self, settings: SecondLook) -> str:
        return f"{tokens_today(settings=settings, now=database_clock())} of {settings.daily_tokens}"


def _look_of(row: Hit | HitLook) -> HitLook | None:
    return row if isinstance(row, HitLook) else getattr(row, "look", None)


def _may_move(row: Hit | HitLook, state: HitLook.State) -> bool:
    look = _look_of(row)
    return look is not None and state in MOVES[State(look.state)]


def _hit_id(row: Hit | HitLook) -> UUID:
    hit_id: UUID = row.pk
    return hit_id


class RejectionForm(forms.Form):
    reason = forms.CharField(max_length=200, required=False, widget=UnfoldAdminTextInputWidget)


def look_operations(right: str = "") -> tuple[Operation, ...]:
    """The decisions on a hit, for its page and for the page of its verdict, whose rows have the same keys."""
    return (
        Operation(
            "let_through",
            "Let through",
            run=lambda row, call: look_pass(hit_id=_hit_id(row), by=call.by),
            done="is let through: its author becomes a lead.",
            icon="check",
            variant="primary",
            when=lambda row: _may_move(row, State.PASSED),
            confirm="The author of the message becomes a lead of the campaign, and a manager account contacts this "
            "person as soon as the campaign's permissions, times and budgets allow it.",
            bulk=True,
            right=right,
        ),
        Operation(
            "reject",
            "Reject",
            run=lambda row, call: look_reject(hit_id=_hit_id(row), by=call.by, **call.data),
            done="is rejected: no lead comes of it. You can still let it through.",
            icon="close",
            when=lambda row: _may_move(row, State.REJECTED),
            form=RejectionForm,
            bulk=True,
            right=right,
        ),
    )


class LookStateFilter(DropdownFilter):
    """Hits by the state of their second look."""

    title, parameter_name = "second look", "look"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(label).partition(":")[0]) for value, label in State.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Hit]) -> QuerySet[Hit]:
        return queryset.filter(look__state=self.value()) if self.value() in State.values else queryset


@display(description="second look")
def look_column(_admin: Any, hit: Hit) -> str:
    """The verdict on a hit, with a link to its page. Empty without a second look."""
    look = _look_of(hit)
    return link_to(look, str(look.get_state_display()).partition(":")[0]) if look is not None else ""


@display(description="second look")
def look_summary(_admin: Any, hit: Hit) -> str:
    """The verdict on a hit with who decided and why, for the hit's page."""
    look = _look_of(hit)
    if look is None:
        return "none: the campaign did not use it when the hit was found"
    facts = (_decided_by(look), _why(look), "" if look.score is None else f"score {look.score}")
    return format_html("{} {}", look_column(_admin, hit), " · ".join(filter(None, facts)))


def _decided_by(look: HitLook) -> str:
    """The LLM, the operator's name, or the rule."""
    who = look.operator if look.judge == HitLook.Judge.OPERATOR else look.get_judge_display()
    return f"{who}: {look.get_rule_display()}" if look.judge == HitLook.Judge.RULES and look.rule else who


def _why(look: HitLook) -> str:
    return waits(look_waits(look), look.due_at if look.error else None) or look.reason


@admin.register(HitLook)
class HitLookAdmin(FactAdmin):
    empty_hint = "A verdict appears when a campaign with a second look has a new hit."
    list_display = ("created_at", "excerpt", "state_label", "decided_by", "reason_label", "score", "campaign")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("rule", ChoicesDropdownFilter),
        ("campaign", RelatedDropdownFilter),
        ("created_at", RangeDateTimeFilter),
    )
    list_select_related = ("campaign", "hit")
    search_fields = ("=hit__telegram_user_id", "hit__username", "hit__text", "reason")
    ordering = ("-created_at",)
    service_errors = (NotPossible,)
    operations = look_operations()
    fields = (
        ("state_label", "decided_by"),
        ("why", "score"),
        ("hit_link", "campaign"),
        "message",
        ("created_at", "decided_at"),
        ("attempts", "error"),
        ("prompt_tokens", "completion_tokens"),
    )
    readonly_fields = ("state_label", "decided_by", "why", "hit_link", "message")

    state_label = choice_label("state")

    @display(description="decided by")
    def decided_by(self, look: HitLook) -> str:
        return _decided_by(look)

    @display(description="message")
    def excerpt(self, look: HitLook) -> str:
        return clipped(look.hit.text)

    @display(description="message")
    def message(self, look: HitLook) -> str:
        return look.hit.text

    @display(description="reason")
    def reason_label(self, look: HitLook) -> str:
        return clipped(look_waits(look) or look.reason)

    @display(description="reason")
    def why(self, look: HitLook) -> str:
        return _why(look)

    @display(description="hit")
    def hit_link(self, look: HitLook) -> str:
        return link_to(look.hit, str(look.hit))
