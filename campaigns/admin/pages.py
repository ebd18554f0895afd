"""Campaigns, chats and the facts that the gate's policy rests on."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display

from campaigns import services
from campaigns.admin.fenced import PolicyAdmin
from campaigns.admin.permissions import standing
from campaigns.chats import identity, references
from campaigns.models import BOTH_ENDS, ONE_PERMISSION, Budget, Campaign, Chat, ChatPermission
from campaigns.permissions.resuming import RESUME
from campaigns.policy.budget_keys import UnknownKey, key_resolve, names_of
from campaigns.selectors import doubt_of, gap_of, unconfirmed_told
from campaigns.starting import start_problems
from panelkit.base import RowsInline
from panelkit.labels import choice_label, clipped, short_choice
from panelkit.operations import Operation, when_in

State = Campaign.State


class CampaignForm(forms.ModelForm):
    """Tells at the field which end of the quiet hours is missing."""

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        missing = [name for name in ("quiet_from", "quiet_to") if name in given and given[name] is None]
        if len(missing) == 1 and not self.errors:
            self.add_error(missing[0], BOTH_ENDS)
        return given


@admin.register(Campaign)
class CampaignAdmin(PolicyAdmin):
    form = CampaignForm
    instead_of_deleting = "Finish it instead: then nothing of it is said any more, and its page remains."
    empty_hint = "A campaign holds what is offered, to whom, in which hours and how often."
    list_display = ("name", "state_label", "quiet_hours", "time_zone", "locale", "first_contact_interval_seconds")
    list_filter = (("state", ChoicesDropdownFilter), "locale")
    search_fields = ("name", "slug")
    ordering = ("name",)
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("state_label", "created_at")
    fieldsets = (
        (None, {"fields": (("name", "slug"), ("state_label", "created_at"))}),
        (
            "When and how",
            {
                "fields": (
                    ("time_zone", "locale"),
                    ("quiet_from", "quiet_to"),
                    ("first_contact_interval_seconds", "reply_quiet_seconds"),
                )
            },
        ),
        ("What is said", {"fields": ("first_contact_template", "llm_model", "llm_brief")}),
    )
    service_errors = (services.NotPossible,)
    operations = (
        Operation(
            "start",
            "Start",
            run=lambda campaign, call: services.campaign_start(campaign_id=campaign.pk),
            done="is running.",
            icon="play_arrow",
            variant="primary",
            when=when_in(State.DRAFT),
            confirm="Scripts, first contacts and replies go out from now on, as far as permissions and budgets allow.",
            missing=lambda campaign: start_problems(campaign_id=campaign.pk),
            bulk=True,
        ),
        Operation(
            "pause",
            "Pause",
            run=lambda campaign, call: services.campaign_pause(campaign_id=campaign.pk),
            done="is paused: what waits stays where it is.",
            icon="pause",
            when=when_in(State.RUNNING),
            bulk=True,
        ),
        Operation(
            "resume",
            "Resume",
            run=lambda campaign, call: services.campaign_resume(campaign_id=campaign.pk),
            done="is running again.",
            icon="play_arrow",
            variant="primary",
            when=when_in(State.PAUSED),
            bulk=True,
        ),
        Operation(
            "finish",
            "Finish",
            run=lambda campaign, call: services.campaign_finish(campaign_id=campaign.pk),
            done="has finished.",
            icon="stop",
            variant="danger",
            when=when_in(State.DRAFT, State.RUNNING, State.PAUSED),
            confirm="It ends for good: everything of it that still waits is refused, and it cannot be started again.",
        ),
    )

    state_label = choice_label("state")

    @display(description="quiet hours")
    def quiet_hours(self, campaign: Campaign) -> str:
        if campaign.quiet_from is None or campaign.quiet_to is None:
            return ""
        return f"{campaign.quiet_from:%H:%M}–{campaign.quiet_to:%H:%M}"


class PermissionFormSet(forms.BaseInlineFormSet):
    """Refuses a second one for a purpose: Django leaves a condition that the chat is part of to the database."""

    def clean(self) -> None:
        super().clean()
        on_record = ChatPermission.objects.filter(chat_id=self.instance.pk, revoked_at=None)
        purposes = set(on_record.values_list("purpose", flat=True))
        doubt = doubt_of(self.instance)
        for form in self.extra_forms:
            purpose = form.cleaned_data.get("purpose")
            if purpose and doubt:
                form.add_error("purpose", f"{doubt}.")
            elif purpose in purposes:
                form.add_error("purpose", ONE_PERMISSION)
            elif purpose:
                purposes.add(purpose)


class ChatPermissionInline(RowsInline):
    """The record: entries are added here and revoked on their own page, never rewritten."""

    model = ChatPermission
    formset = PermissionFormSet
    fields = ("purpose", "granted_by", "granted_at", "evidence", "members_told", "valid_from", "valid_until", "now")
    readonly_fields = ("now",)
    show_change_link = True
    tab = False

    @display(description="is now")
    def now(self, permission: ChatPermission) -> str:
        return standing(permission) if permission.pk else ""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ChatForm(forms.ModelForm):
    """Refuses what is no reference, and the number of another chat, at once: that needs no account."""

    def clean_reference(self) -> str:
        reference: str = self.cleaned_data["reference"]
        if "reference" in self.changed_data and (problem := self._problem(reference)):
            raise forms.ValidationError(problem)
        return reference

    def _problem(self, reference: str) -> str:
        if self.instance._state.adding:
            problem = references.shape_problem(reference)
            return f"{reference} {problem}." if problem else ""
        return references.reference_problem(chat_id=self.instance.pk, reference=reference)


class ReferenceFilter(DropdownFilter):
    title = "reference"
    parameter_name = "reference_state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waits", "An account has to confirm it"), ("elsewhere", "Leads to another chat")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Chat]) -> QuerySet[Chat]:
        column = {"waits": "reference_changed_at", "elsewhere": "reference_leads_to"}.get(self.value() or "")
        return queryset.exclude(**{column: None}) if column else queryset


def _looked_at(chat: Chat) -> str:
    if chat.reference_changed_at is None:
        return "is reached by its own id: you may resume its permissions."
    return (
        "is looked at again: you may resume its permissions, and they count once an account has confirmed that the "
        "reference leads to this chat. If it still leads to another one they are suspended again."
    )


@admin.register(Chat)
class ChatAdmin(PolicyAdmin):
    form = ChatForm
    instead_of_deleting = "Revoke its permissions instead: then nothing is said or read there."
    empty_hint = "Add the groups in which the team's accounts may play or listen."
    list_display = ("name", "reference", "kind_label", "telegram_id", "permitted", "label")
    list_filter = (
        ("kind", ChoicesDropdownFilter),
        ("permissions__purpose", ChoicesDropdownFilter),
        ReferenceFilter,
    )
    search_fields = ("key", "title", "reference", "=telegram_id", "=upgraded_from_id")
    ordering = ("key",)
    readonly_fields = ("telegram_id", "kind", "upgraded_from_id", "upgraded_at", "doubt", "created_at")
    fieldsets = (
        (None, {"fields": (("key", "reference"), "doubt", "title", "label")}),
        (
            "As Telegram has it",
            {"fields": (("telegram_id", "kind"), ("upgraded_from_id", "upgraded_at"), "created_at")},
        ),
    )
    service_errors = (services.NotPossible,)
    operations = (
        Operation(
            "new_chat",
            "Make the other one a new chat",
            run=lambda chat, call: identity.reference_to_new_chat(chat_id=chat.pk),
            done="is reached by its id from now on: ask its owner, then resume its permissions on their pages. This is "
            "the other chat, for which nothing is permitted yet.",
            icon="call_split",
            when=lambda chat: chat.reference_leads_to is not None,
            confirm="The reference leads to another chat now. A new chat is added with this reference and without any "
            "permission; this one keeps its permissions and history and is reached by its Telegram id. Resume its "
            "permissions once you have asked its owner.",
            makes=True,
        ),
        Operation(
            "look_again",
            "Look again",
            run=lambda chat, call: references.reference_check_again(chat_id=chat.pk),
            done=_looked_at,
            icon="travel_explore",
            when=lambda chat: chat.reference_leads_to is not None,
            confirm="You have made sure that the reference leads to this chat again.",
        ),
        RESUME,
    )
    inlines = (ChatPermissionInline,)

    kind_label = choice_label("kind")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Chat]:
        return super().get_queryset(request).prefetch_related("permissions")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        if change and "reference" in form.changed_data:
            references.reference_change(chat_id=obj.pk, reference=form.cleaned_data["reference"])
        super().save_model(request, obj, form, change)

    @display(description="in doubt")
    def doubt(self, chat: Chat) -> str:
        if chat.pk and chat.reference_changed_at is not None:
            told = unconfirmed_told(chat.reference_changed_at)
            return (
                f"{told[0].upper()}{told[1:]}. Until then nothing is sent, read or joined here. Below the permissions "
                "you see which account checks it."
            )
        return clipped(doubt_of(chat), 400) if chat.pk else ""

    @display(description="chat", ordering="title")
    def name(self, chat: Chat) -> str:
        return str(chat)

    @display(description="permitted", label=True)
    def permitted(self, chat: Chat) -> list[str]:
        now = timezone.now()
        given = [one for one in chat.permissions.all() if gap_of(one, now) is None]
        return sorted(one.purpose.replace("_", " ") for one in given)


class BudgetForm(forms.ModelForm):
    """Takes what people call the object, keeps the id by which the gate counts."""

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if "scope" in given and "key" in given:
            try:
                given["key"] = key_resolve(scope=given["scope"], key=given["key"])
            except UnknownKey as problem:
                self.add_error("key", str(problem))
        return given


@admin.register(Budget)
class BudgetAdmin(PolicyAdmin):
    form = BudgetForm
    empty_hint = "Without one only Telegram's own limits hold. Limit messages by tenant, campaign, bot, chat or peer."
    list_display = ("scope", "named", "purpose", "counted", "limit", "window_seconds")
    list_filter = (("scope", ChoicesDropdownFilter), ("purpose", ChoicesDropdownFilter), "counts")
    search_fields = ("key",)
    ordering = ("scope", "key", "purpose", "counts", "window_seconds")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changes = super().get_changelist_instance(request)
        names = names_of(changes.result_list)
        for budget in changes.result_list:
            budget.named = names.get((budget.scope, budget.key), budget.key) or "each by itself"
        return changes

    @display(description="of", ordering="key")
    def named(self, budget: Any) -> str:
        return "" if budget.scope == Budget.Scope.TEAM else str(budget.named)

    @display(description="counts", ordering="counts")
    def counted(self, budget: Budget) -> str:
        return short_choice(budget.get_counts_display())
