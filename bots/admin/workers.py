"""The admin page of bots workers."""

from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from bots.admin.accounts import NotDone
from bots.models import Bot, Host
from bots.worker.hosts import host_drain, host_state, host_undrain
from messaging.database.clock import database_clock
from panelkit.base import FactAdmin
from panelkit.labels import choice_label
from panelkit.operations import Operation


def _drain(host: Host) -> None:
    if not host_drain(name=host.name):
        raise NotDone("it is already being drained, or it has ended")


def _undrain(host: Host) -> None:
    if not host_undrain(name=host.name):
        raise NotDone("it is not being drained, or it has ended")


@admin.register(Host)
class HostAdmin(FactAdmin):
    empty_hint = "No bots worker is running. Run `make up`, or start a process …_bots of the Procfile."
    list_display = ("name", "role_label", "accounts", "capacity", "doing", "heartbeat_at")
    list_filter = (("role", ChoicesDropdownFilter), "draining")
    search_fields = ("name",)
    ordering = ("name",)
    fields = ("name", "role_label", ("accounts", "capacity"), "doing", "heartbeat_at")
    readonly_fields = ("role_label", "accounts", "doing")
    service_errors = (NotDone,)
    operations = (
        Operation(
            "drain",
            "Drain",
            run=lambda host, call: _drain(host),
            done="is being drained: it takes no more accounts and releases the accounts that it has.",
            icon="output",
            variant="danger",
            when=lambda host: not host.drain_requested,
            confirm="Other workers of the same role take over its accounts if they have room. "
            "Until then the messages of these accounts wait.",
            bulk=True,
        ),
        Operation(
            "undrain",
            "Stop draining",
            run=lambda host, call: _undrain(host),
            done="takes accounts again.",
            icon="input",
            variant="primary",
            when=lambda host: host.drain_requested,
            bulk=True,
        ),
    )

    role_label = choice_label("role")

    @display(description="accounts")
    def accounts(self, host: Host) -> int:
        return Bot.objects.filter(lease_owner=host.name, lease_expires_at__isnull=False).count()

    @display(description="state")
    def doing(self, host: Host) -> str:
        return host_state(host, database_clock())
