"""The pages of chats, with their permissions below."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.text import capfirst
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display

from campaigns.admin.base import PolicyAdmin
from campaigns.admin.permission_resuming import RESUME
from campaigns.admin.permissions import standing
from campaigns.chats import identity, references
from campaigns.models import ONE_PERMISSION, Chat, ChatPermission
from campaigns.permissions.validity import gap_of
from campaigns.wording import doubt_of, reference_unconfirmed
from panelkit.base import RowsInline
from panelkit.errors import NotPossible
from panelkit.labels import choice_label, clipped
from panelkit.operations import Operation


class PermissionFormSet(forms.BaseInlineFormSet):
    """Refuses a second permission for a purpose. Django leaves a condition that includes the chat to the database."""

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
    """The record of permissions: operators add entries here and revoke them on their own page, but never edit them."""

    model = ChatPermission
    formset = PermissionFormSet
    fields = ("purpose", "granted_by", "granted_at", "evidence", "members_told", "valid_from", "valid_until", "now")
    readonly_fields = ("now",)
    show_change_link = True
    tab = False

    @display(description="status")
    def now(self, permission: ChatPermission) -> str:
        return standing(permission) if permission.pk else ""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ChatForm(forms.ModelForm):
    """Refuses malformed references and another chat's id at once, because this check needs no account."""

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
        return [("waits", "Waiting for an account to confirm it"), ("elsewhere", "Leads to another chat")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Chat]) -> QuerySet[Chat]:
        column = {"waits": "reference_changed_at", "elsewhere": "reference_leads_to"}.get(self.value() or "")
        return queryset.exclude(**{column: None}) if column else queryset


def _being_checked(chat: Chat) -> str:
    if chat.reference_changed_at is None:
        return "needs no check: accounts find the chat by its Telegram id. You can resume its permissions."
    return (
        "is checked again. You can resume its permissions now; they take effect once an account has confirmed that the "
        "reference leads to this chat. If the reference leads to another chat, the permissions are suspended again."
    )


@admin.register(Chat)
class ChatAdmin(PolicyAdmin):
    form = ChatForm
    instead_of_deleting = "Revoke the chat's permissions instead: then accounts neither write nor read in it."
    empty_hint = "Add the groups in which the team's accounts may play scripts or watch for keywords."
    list_display = ("name", "reference", "kind_label", "telegram_id", "permitted", "label")
    list_filter = (
        ("kind", ChoicesDropdownFilter),
        ("permissions__purpose", ChoicesDropdownFilter),
        ReferenceFilter,
    )
    search_fields = ("key", "title", "reference", "=telegram_id", "=upgraded_from_id")
    ordering = ("key",)
    readonly_fields = ("telegram_id", "kind", "discussion_id", "upgraded_from_id", "upgraded_at", "doubt", "created_at")
    fieldsets = (
        (None, {"fields": (("key", "reference"), "doubt", "title", "label")}),
        (
            "Data from Telegram",
            {"fields": (("telegram_id", "kind"), ("upgraded_from_id", "upgraded_at"), ("discussion_id", "created_at"))},
        ),
    )
    service_errors = (NotPossible,)
    operations = (
        Operation(
            "new_chat",
            "Add the other chat",
            run=lambda chat, call: identity.reference_to_new_chat(chat_id=chat.pk),
            done="is found by its Telegram id from now on: ask its owner, then resume its permissions. This page shows "
            "the other chat, for which no permission is on record yet.",
            icon="call_split",
            when=lambda chat: chat.reference_leads_to is not None,
            confirm="The reference now leads to another chat. That chat is added with the reference and without any "
            "permission. This chat keeps its permissions and its history. From then on, accounts find this chat by its "
            "Telegram id. Ask this chat's owner before you resume its permissions.",
            makes=True,
        ),
        Operation(
            "look_again",
            "Check the reference again",
            run=lambda chat, call: references.reference_check_again(chat_id=chat.pk),
            done=_being_checked,
            icon="travel_explore",
            when=lambda chat: chat.reference_leads_to is not None,
            confirm="Make sure that the reference leads to this chat again. An account then checks it.",
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

    @display(description="reference problem")
    def doubt(self, chat: Chat) -> str:
        if chat.pk and chat.reference_changed_at is not None:
            reason = reference_unconfirmed(chat.reference_changed_at)
            return (
                f"{capfirst(reason)}. Until then accounts neither write nor read here, and they do not join the chat. "
                "The section below the permissions shows which account checks the reference."
            )
        return clipped(doubt_of(chat), 400) if chat.pk else ""

    @display(description="chat", ordering="title")
    def name(self, chat: Chat) -> str:
        return str(chat)

    @display(description="permissions in force", label=True)
    def permitted(self, chat: Chat) -> list[str]:
        now = timezone.now()
        given = [permission for permission in chat.permissions.all() if gap_of(permission, now) is None]
        return sorted(permission.purpose.replace("_", " ") for permission in given)
