"""Admin pages of the libraries' models (users, groups, periodic tasks) in the panel's style."""

from typing import Any

from axes.models import AccessAttempt
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as StockGroupAdmin
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django_celery_beat import models as beat
from django_celery_beat.admin import ClockedScheduleAdmin as StockClockedScheduleAdmin
from django_celery_beat.admin import CrontabScheduleAdmin as StockCrontabScheduleAdmin
from django_celery_beat.admin import PeriodicTaskAdmin as StockPeriodicTaskAdmin
from django_celery_beat.admin import PeriodicTaskForm as StockPeriodicTaskForm
from django_celery_beat.admin import TaskSelectWidget
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from coolthing_site.api import token_admin  # noqa: F401  The module registers its page.
from coolthing_site.models import Process, RequestCount
from coolthing_site.panel.processes import process_state
from coolthing_site.web.login_limits import unlock
from panelkit.base import FactAdmin, FactInline, PanelAdmin
from panelkit.labels import tag
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.operations import Operation
from vault.models import KeyInUse

for model in (
    User,
    Group,
    beat.PeriodicTask,
    beat.IntervalSchedule,
    beat.CrontabSchedule,
    beat.ClockedSchedule,
    beat.SolarSchedule,
):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


def _may_manage(request: HttpRequest, user: Any) -> bool:
    """Only superusers may change superusers, whose passwords give all permissions."""
    return user is None or not user.is_superuser or request.user.is_superuser


@admin.register(User)
class UserAdmin(StockUserAdmin, PanelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    ordering = ("username",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Only superusers may give permissions; other operators could give themselves all of them."""
        fixed = () if request.user.is_superuser else ("is_superuser", "groups", "user_permissions")
        return (*super().get_readonly_fields(request, obj), *fixed)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may_manage(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may_manage(request, obj) and super().has_delete_permission(request, obj)


@admin.register(Group)
class GroupAdmin(StockGroupAdmin, PanelAdmin):
    list_filter = (("user", RelatedDropdownFilter),)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Only superusers may give permissions, as for users."""
        fixed = () if request.user.is_superuser else ("permissions",)
        return (*super().get_readonly_fields(request, obj), *fixed)


@admin.register(KeyInUse)
class KeyInUseAdmin(FactAdmin):
    """The fingerprints of the keys that must stay in FIELD_ENCRYPTION_KEYS, never the keys themselves."""

    empty_hint = "CoolThing records an encryption key when the first process that uses it starts."
    secret_fields = ("probe",)
    fields = ("fingerprint", "since")
    list_display = ("fingerprint", "since")
    list_filter = (("since", RangeDateTimeFilter),)
    search_fields = ("fingerprint",)
    ordering = ("-since",)


def _unlock(row: AccessAttempt) -> str:
    unlock(username=row.username or "", address=row.ip_address or "")
    return _account_and_address(row)


def _account_and_address(row: AccessAttempt) -> str:
    return f"{row.username or 'no account'} from {row.ip_address or 'no address'}"


class _Renamed:
    """A model's options with CoolThing's name for the rows. Changed options would need a migration of axes."""

    verbose_name, verbose_name_plural = "failed login", "failed logins"

    def __init__(self, options: Any) -> None:
        self._options = options

    def __getattr__(self, name: str) -> Any:
        return getattr(self._options, name)


@admin.register(AccessAttempt)
class FailedLoginAdmin(FactAdmin):
    """Failed logins by account and address. The other models of axes have no rows, because their features are off."""

    def __init__(self, model: Any, admin_site: Any) -> None:
        super().__init__(model, admin_site)
        self.opts: Any = _Renamed(self.opts)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        found.opts, found.title = self.opts, "Failed logins"
        return found

    def row_name(self, row: Any) -> str:
        return _account_and_address(row)

    empty_hint = "Failed logins appear here. They are deleted when the account logs in from the same address."
    secret_fields = ("get_data", "post_data")
    list_display = ("attempt_time", "username", "ip_address", "failures_since_start", "user_agent")
    list_filter = (("attempt_time", RangeDateTimeFilter),)
    search_fields = ("username", "ip_address")
    ordering = ("-attempt_time",)
    fields = ("username", ("ip_address", "failures_since_start"), "attempt_time", "user_agent")
    operations = (
        Operation(
            "unlock",
            "Unlock",
            run=lambda row, _call: _unlock(row),
            done=lambda who: f"of {who} was deleted: the account may log in from this address.",
            icon="lock_open",
            confirm="This deletes the failed logins. The account may then log in from this address at once.",
            bulk=True,
            removes=True,
            right="auth.change_user",
        ),
    )


@admin.register(RequestCount)
class RequestCountAdmin(FactAdmin):
    empty_hint = "The counters of the API's request limits appear here after the first request."
    list_display = ("key", "count", "ends_at")
    list_filter = (("ends_at", RangeDateTimeFilter),)
    search_fields = ("key",)
    ordering = ("-ends_at",)


@admin.register(Process)
class ProcessAdmin(FactAdmin):
    empty_hint = "Processes of the Procfile appear here. Start them with `make up` or `docker compose up -d`."
    list_display = ("kind", "state", "pid", "host", "started_at", "heartbeat_at", "ended_at")
    list_filter = ("ended_by_itself", ("heartbeat_at", RangeDateTimeFilter))
    search_fields = ("kind", "host", "=pid")
    ordering = ("kind", "-started_at")
    fields = (("kind", "state"), ("pid", "host"), ("started_at", "heartbeat_at", "ended_at"))
    readonly_fields = ("state",)

    @display(description="state")
    def state(self, row: Process) -> SafeString:
        return tag(*process_state(row, timezone.now()))


class SelectTask(UnfoldAdminSelectWidget, TaskSelectWidget):
    pass


class PeriodicTaskForm(StockPeriodicTaskForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["task"].widget = UnfoldAdminTextInputWidget()
        self.fields["regtask"].widget = SelectTask()


@admin.register(beat.PeriodicTask)
class PeriodicTaskAdmin(StockPeriodicTaskAdmin, PanelAdmin):
    """Periodic tasks. CoolThing's own are code: at each start beat overwrites operators' changes to them."""

    form = PeriodicTaskForm
    # The library's template has an inline script, which describes the selected crontab. A field does the same here.
    change_form_template = None

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The library's actions that run, enable and disable tasks need the permission to change periodic tasks."""
        actions: dict[str, Any] = super().get_actions(request)
        if self.has_change_permission(request):
            return actions
        return {name: action for name, action in actions.items() if name not in StockPeriodicTaskAdmin.actions}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        obj.save()  # the form sets columns from fields with other names


class PeriodicTaskInline(FactInline):
    model = beat.PeriodicTask
    fields = ("name", "task", "enabled")
    ordering = ("name",)
    tab = False


@admin.register(beat.IntervalSchedule)
class IntervalScheduleAdmin(PanelAdmin):
    list_display = ("__str__", "every", "period")
    list_filter = ("period",)
    search_fields = ("every", "period")
    ordering = ("period", "every")


@admin.register(beat.CrontabSchedule)
class CrontabScheduleAdmin(StockCrontabScheduleAdmin, PanelAdmin):
    list_filter = (("timezone", admin.AllValuesFieldListFilter),)
    search_fields = ("minute", "hour", "timezone")
    inlines = (PeriodicTaskInline,)


@admin.register(beat.ClockedSchedule)
class ClockedScheduleAdmin(StockClockedScheduleAdmin, PanelAdmin):
    list_filter = (("clocked_time", RangeDateTimeFilter),)
    search_fields = ("clocked_time",)
    inlines = (PeriodicTaskInline,)


@admin.register(beat.SolarSchedule)
class SolarScheduleAdmin(PanelAdmin):
    list_display = ("event", "latitude", "longitude")
    list_filter = ("event",)
    search_fields = ("event", "latitude", "longitude")
