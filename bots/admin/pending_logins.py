"""The admin page of unfinished logins."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from bots.models import PendingLogin
from panelkit.base import FactAdmin
from panelkit.labels import choice_label, tag, waits

Ask, Step = PendingLogin.Ask, PendingLogin.Step


@admin.register(PendingLogin)
class PendingLoginAdmin(FactAdmin):
    """Shows what an unfinished login waits for and which worker works on it. Its secrets stay in the database."""

    empty_hint = "No login is unfinished."
    secret_fields = ("state", "given")
    fields = ("bot", "step_label", "asked_label", ("asked_by", "asked_at"), "worker", "why", "begun_at", "expires_at")
    readonly_fields = ("step_label", "asked_label", "why")
    list_display = ("bot", "step_label", "asked_label", "worker", "why", "begun_at", "expires_at")
    list_filter = (("step", ChoicesDropdownFilter), ("asked", ChoicesDropdownFilter))
    list_select_related = ("bot",)
    search_fields = ("bot__key", "bot__display_name")
    ordering = ("-begun_at",)

    step_label = choice_label("step")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PendingLogin]:
        return super().get_queryset(request).defer("state", "given", "bot__phone", "bot__api_hash", "bot__proxy_url")

    @display(description="current request", ordering="asked")
    def asked_label(self, pending: PendingLogin) -> SafeString | str:
        """What a worker is doing; "" while a QR code is shown, because then `asked` only keeps the code current."""
        if not pending.asked or (pending.asked == Ask.QR and pending.step == Step.QR):
            return ""
        return tag(pending.asked, pending.get_asked_display())

    @display(description="problem")
    def why(self, pending: PendingLogin) -> str:
        return waits(pending.problem, pending.wait_until)
