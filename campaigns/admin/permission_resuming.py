"""The operation that resumes several suspended permissions of a chat. Its page lists each of them."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils.dateparse import parse_datetime
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from campaigns.models import Chat, ChatPermission
from campaigns.permissions.services import permissions_resume
from campaigns.permissions.validity import gap_of
from messaging.database.clock import database_clock
from panelkit.operations import Call, Operation


def suspended(chat: Chat) -> list[ChatPermission]:
    on_record = chat.permissions.all() if chat.pk else []
    return [
        permission for permission in on_record if permission.revoked_at is None and permission.suspended_at is not None
    ]


def resume_form(chat: Chat) -> type[forms.Form]:
    """A form with one choice for each suspension.

    It does not resume suspensions that begin after the page was shown.
    """
    choices = [
        (_value(permission), f"{permission.get_purpose_display()}. {permission.suspended_reason}")
        for permission in suspended(chat)
    ]

    class ResumeForm(forms.Form):
        permissions = forms.MultipleChoiceField(
            choices=choices,
            initial=[value for value, _ in choices],
            widget=UnfoldAdminCheckboxSelectMultipleWidget,
            label="Permissions",
            help_text="Uncheck the permissions that the owner no longer gives, and revoke them on their own pages",
        )

    return ResumeForm


def _value(permission: ChatPermission) -> str:
    assert permission.suspended_at is not None
    return f"{permission.pk} {permission.suspended_at.isoformat()}"


def _resume(chat: Chat, call: Call) -> str:
    """Resume the chosen permissions. Returns the message for the operator."""
    chosen = dict(_suspension(value) for value in call.data["permissions"])
    if not permissions_resume(chat_id=chat.pk, suspensions=chosen):
        return (
            "was not changed: since you opened the page, the chosen permissions were resumed, revoked or "
            "suspended again."
        )
    now, resumed = database_clock(), chat.permissions.filter(pk__in=chosen, suspended_at=None).select_related("chat")
    gaps = [gap.reason for permission in resumed if (gap := gap_of(permission, now)) is not None]
    if gaps:
        return f"got permissions back, but not all of them are in force: {'; '.join(gaps)}."
    return "has its permissions in force again, and work that waited for them continues."


def _suspension(value: str) -> tuple[int, datetime]:
    number, _, since = value.partition(" ")
    at = parse_datetime(since)
    assert at is not None
    return int(number), at


def _offered(chat: Any) -> bool:
    return chat.reference_leads_to is None and bool(suspended(chat))


RESUME = Operation(
    "resume",
    "Resume permissions",
    run=_resume,
    done=str,
    icon="play_arrow",
    variant="primary",
    when=_offered,
    confirm="Ask the chat's owner first, and choose the permissions that the owner still gives. Then accounts may join "
    "the chat again, and waiting messages are sent.",
    form_for=resume_form,
)
