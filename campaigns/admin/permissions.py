"""The pages of chat owners' permissions, and of the evidence files."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextInputWidget, UnfoldAdminURLInputWidget

from campaigns.admin.base import PolicyAdmin
from campaigns.models import EVIDENCE_MOST_BYTES, Chat, ChatPermission, EvidenceFile
from campaigns.permissions.evidence import evidence_add, evidence_response, type_of
from campaigns.permissions.services import permission_end, permission_grant, permission_resume
from campaigns.permissions.validity import gap_of, in_force
from campaigns.wording import doubt_of
from messaging.database.clock import database_clock
from panelkit.base import FactAdmin, FactInline
from panelkit.errors import NotPossible
from panelkit.forms.suitable import Suitable, SuitableForm, offer
from panelkit.labels import clipped
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.operations import Call, Operation

FILE_HELP = f"A PDF, a PNG or JPEG picture, or plain text; at most {EVIDENCE_MOST_BYTES // 2**20} MB"


def standing(permission: ChatPermission) -> str:
    """Whether the permission is in force now, in a few words."""
    gap = gap_of(permission, timezone.now())
    return "in force" if gap is None else gap.reason.removeprefix("it ")


class EvidenceField(forms.FileField):
    """A file of an allowed type and size."""

    widget = UnfoldAdminFileFieldWidget

    def clean(self, data: Any, initial: Any = None) -> Any:
        file = super().clean(data, initial)
        if file:
            if file.size > EVIDENCE_MOST_BYTES:
                raise forms.ValidationError(FILE_HELP)
            try:
                type_of(file.read())
            except NotPossible as problem:
                raise forms.ValidationError(str(problem)) from problem
            file.seek(0)
        return file


def _doubt(chat: Chat) -> str:
    doubt = doubt_of(chat)
    return f"{doubt}." if doubt else ""


class PermissionForm(SuitableForm):
    suitable = {"chat": Suitable(lambda _row: Chat.objects.filter(reference_leads_to=None), _doubt)}
    evidence_link = forms.URLField(
        required=False, max_length=500, assume_scheme="https", widget=UnfoldAdminURLInputWidget
    )
    evidence_file = EvidenceField(required=False, help_text=FILE_HELP)

    class Meta:
        model = ChatPermission
        fields = (
            "chat", "purpose", "granted_by", "granted_at", "evidence", "evidence_link", "members_told", "valid_from",
            "valid_until",
        )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        until = given.get("valid_until")
        begins = [at for at in (given.get("granted_at"), given.get("valid_from")) if at is not None]
        if until is not None and begins and until <= max(begins):
            self.add_error("valid_until", "The permission would end before it begins.")
        return given

    def validate_constraints(self) -> None:
        """Skipped: the service ends the present permission, and `clean` compares the times."""


offer(PermissionForm, "campaigns.ChatPermission")


class EvidenceFileForm(forms.Form):
    file = EvidenceField(help_text=FILE_HELP)


class RevokeForm(forms.Form):
    reason = forms.CharField(max_length=300, required=False, widget=UnfoldAdminTextInputWidget)


class StandingFilter(DropdownFilter):
    title = "in force"
    parameter_name = "in_force"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "In force"), ("suspended", "Suspended"), ("no", "Not in force")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ChatPermission]) -> QuerySet[ChatPermission]:
        now = in_force(Now())
        suspended = Q(suspended_at__isnull=False, revoked_at__isnull=True)
        return queryset.filter({"yes": now, "suspended": suspended, "no": ~now}.get(self.value() or "", Q()))


def _resumed(permission: ChatPermission) -> str:
    gap = gap_of(permission, database_clock())
    return (
        "is in force again, and work that waited for it continues."
        if gap is None
        else f"is no longer suspended, but {gap.reason}."
    )


def _add_file(permission: ChatPermission, call: Call) -> None:
    upload = call.data["file"]
    evidence_add(permission_id=permission.pk, name=upload.name, content=upload.read(), by=call.by)


class EvidenceFileInline(FactInline):
    model = EvidenceFile
    fields = ("download", "content_type", "size", "uploaded_by", "uploaded_at")
    readonly_fields = ("download",)
    tab = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[EvidenceFile]:
        return super().get_queryset(request).defer("content").order_by("uploaded_at")

    @display(description="file")
    def download(self, file: EvidenceFile) -> str:
        return _download_link(file)


@admin.register(ChatPermission)
class ChatPermissionAdmin(PolicyAdmin):
    empty_hint = "Accounts write and read only in chats whose owner's permission is on record."
    form = PermissionForm
    list_display = ("chat", "purpose", "granted_by", "granted_at", "valid_until", "in_force", "is_now")
    list_filter = (StandingFilter, ("purpose", ChoicesDropdownFilter), ("valid_until", RangeDateTimeFilter))
    list_select_related = ("chat",)
    search_fields = ("chat__key", "chat__title", "chat__reference", "granted_by", "evidence", "evidence_link")
    autocomplete_fields = ("chat",)
    readonly_fields = ("is_now", "revoked_at", "revoked_reason", "suspended_at", "suspended_reason")
    ordering = ("-granted_at",)
    inlines = (EvidenceFileInline,)
    service_errors = (NotPossible,)
    operations = (
        Operation(
            "resume",
            "Resume",
            run=lambda given, call: permission_resume(permission_id=given.pk),
            done=_resumed,
            icon="play_arrow",
            variant="primary",
            when=lambda given: given.suspended_at is not None and given.revoked_at is None,
            confirm="Ask the chat's owner first whether the permission is still given. Then accounts may join the chat "
            "again, and waiting messages are sent.",
        ),
        Operation(
            "file",
            "Add a file",
            run=_add_file,
            done="has one more file.",
            icon="attach_file",
            form=EvidenceFileForm,
        ),
        Operation(
            "revoke",
            "Revoke",
            run=lambda given, call: permission_end(permission_id=given.pk, reason=call.data.get("reason", "")),
            done="is revoked.",
            icon="block",
            variant="danger",
            when=lambda given: given.revoked_at is None,
            confirm="From now on accounts neither write nor read in the chat under this permission. Record a new "
            "permission to allow it again.",
            form=RevokeForm,
            bulk=True,
        ),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        given = [("chat", "purpose"), ("granted_by", "granted_at")]
        shown = ["evidence", "evidence_link"] if obj else ["evidence", "evidence_link", "evidence_file"]
        ended = [("is_now",), ("revoked_at", "revoked_reason"), ("suspended_at", "suspended_reason")]
        return [
            (None, {"fields": given}),
            ("Evidence", {"fields": shown}),
            ("Validity and notice to members", {"fields": [("valid_from", "valid_until"), "members_told"]}),
            *([("Status", {"fields": ended})] if obj else []),
        ]

    @display(description="in force", boolean=True)
    def in_force(self, permission: ChatPermission) -> bool:
        return gap_of(permission, timezone.now()) is None

    @display(description="status")
    def is_now(self, permission: ChatPermission) -> str:
        return clipped(standing(permission))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        facts = {name: form.cleaned_data[name] for name in PermissionForm.Meta.fields if name != "chat"}
        obj.pk = permission_grant(chat_id=obj.chat_id, **facts).pk
        if upload := form.cleaned_data.get("evidence_file"):
            evidence_add(permission_id=obj.pk, name=upload.name, content=upload.read(), by=str(request.user))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(EvidenceFile)
class EvidenceFileAdmin(FactAdmin):
    empty_hint = "Add files on the page of the permission that they prove."
    list_display = ("name", "permission", "content_type", "size", "uploaded_by", "uploaded_at")
    list_filter = ("content_type", ("uploaded_at", RangeDateTimeFilter))
    list_select_related = ("permission__chat",)
    search_fields = ("name", "permission__chat__key", "permission__chat__title", "uploaded_by")
    ordering = ("-uploaded_at",)
    secret_fields = ("content",)
    fields = ("name", "download", "permission", "content_type", "size", "uploaded_by", "uploaded_at")
    readonly_fields = ("download",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.download_view)
        return [path("<uuid:file_id>/download/", view, name=self._url_name("download")), *super().get_urls()]

    def download_view(self, request: HttpRequest, file_id: Any) -> HttpResponse:
        file = EvidenceFile.objects.filter(pk=file_id).first()
        if file is None or not self.has_view_permission(request, file):
            raise Http404
        return evidence_response(file)

    @display(description="file")
    def download(self, file: EvidenceFile) -> str:
        return _download_link(file)


def _download_link(file: EvidenceFile) -> str:
    url = reverse("admin:campaigns_evidencefile_download", args=[file.pk])
    return format_html('<a class="text-link" href="{}">{}</a>', url, file.name)
