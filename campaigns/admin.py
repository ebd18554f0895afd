"""Campaigns, chats and the facts that the gate's policy rests on."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import display

from campaigns import fences, services
from campaigns.models import Budget, Campaign, Chat, ChatPermission, Suppression
from panelkit.base import PanelAdmin, RowsInline
from panelkit.labels import choice_label, short_choice
from panelkit.operations import Operation, when_in

State = Campaign.State


class PolicyAdmin(PanelAdmin):
    """A page for what the gate reads: whoever waits is judged again once a change is committed."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        fences.rules_changed()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        fences.rules_changed()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().delete_queryset(request, queryset)
        fences.rules_changed()


@admin.register(Campaign)
class CampaignAdmin(PolicyAdmin):
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


class ChatPermissionInline(RowsInline):
    """The record: entries are added here and revoked on their own page, never rewritten."""

    model = ChatPermission
    fields = ("purpose", "granted_by", "granted_at", "evidence", "revoked_at")
    readonly_fields = ("revoked_at",)
    show_change_link = True
    tab = False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Chat)
class ChatAdmin(PolicyAdmin):
    list_display = ("name", "reference", "kind_label", "telegram_id", "permitted", "label")
    list_filter = (
        ("kind", ChoicesDropdownFilter),
        ("permissions__purpose", ChoicesDropdownFilter),
    )
    search_fields = ("key", "title", "reference", "=telegram_id")
    ordering = ("key",)
    readonly_fields = ("telegram_id", "kind", "created_at")
    fieldsets = (
        (None, {"fields": (("key", "reference"), "title", "label")}),
        ("As Telegram has it", {"fields": (("telegram_id", "kind"), "created_at")}),
    )
    inlines = (ChatPermissionInline,)

    kind_label = choice_label("kind")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Chat]:
        return super().get_queryset(request).prefetch_related("permissions")

    @display(description="chat", ordering="title")
    def name(self, chat: Chat) -> str:
        return str(chat)

    @display(description="permitted", label=True)
    def permitted(self, chat: Chat) -> list[str]:
        return sorted(one.purpose.replace("_", " ") for one in chat.permissions.all() if one.revoked_at is None)


@admin.register(ChatPermission)
class ChatPermissionAdmin(PolicyAdmin):
    list_display = ("chat", "purpose", "granted_by", "granted_at", "in_force", "revoked_at")
    list_filter = (("purpose", ChoicesDropdownFilter), ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("chat",)
    search_fields = ("chat__key", "chat__title", "chat__reference", "granted_by", "evidence")
    autocomplete_fields = ("chat",)
    readonly_fields = ("revoked_at",)
    ordering = ("-granted_at",)
    operations = (
        Operation(
            "revoke",
            "Revoke",
            run=lambda given, call: services.permission_revoke(chat_id=given.chat_id, purpose=given.purpose),
            done="is revoked.",
            icon="block",
            variant="danger",
            when=lambda given: given.revoked_at is None,
            confirm="From now on nothing is said or read there under this permission. A new one has to be recorded.",
            bulk=True,
        ),
    )

    @display(description="in force", boolean=True)
    def in_force(self, permission: ChatPermission) -> bool:
        return permission.revoked_at is None

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Suppression)
class SuppressionAdmin(PanelAdmin):
    list_display = ("person", "telegram_user_id", "source_label", "reason", "created_at")
    list_filter = (("source", ChoicesDropdownFilter), ("created_at", RangeDateTimeFilter))
    search_fields = ("username", "=telegram_user_id", "reason")
    ordering = ("-created_at",)
    fields = ("username", "telegram_user_id", "reason")

    source_label = choice_label("source")

    @display(description="person", ordering="username")
    def person(self, suppression: Suppression) -> str:
        return str(suppression)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Suppression | None = None) -> bool:
        """What a person asked for stays; an operator's own entry may have been a mistake."""
        by_operator = obj is not None and obj.source == Suppression.Source.OPERATOR
        return by_operator and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        obj.pk = services.suppression_add(
            telegram_user_id=obj.telegram_user_id,
            username=obj.username,
            source=Suppression.Source.OPERATOR,
            reason=obj.reason,
        ).pk


@admin.register(Budget)
class BudgetAdmin(PolicyAdmin):
    list_display = ("scope", "key", "purpose", "counted", "limit", "window_seconds")
    list_filter = (("scope", ChoicesDropdownFilter), ("purpose", ChoicesDropdownFilter), "counts")
    search_fields = ("key",)
    ordering = ("scope", "key", "purpose", "counts", "window_seconds")

    @display(description="counts", ordering="counts")
    def counted(self, budget: Budget) -> str:
        return short_choice(budget.get_counts_display())
