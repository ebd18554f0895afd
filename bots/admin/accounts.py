"""The admin page of accounts: their settings, their state, and what an operator does to them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldBooleanSwitchWidget

from bots.accounts import services
from bots.accounts.role_changes import role_change, role_problem
from bots.accounts.state_help import next_step, waits_until
from bots.accounts.states import BARRED
from bots.admin.login_forms import checked_proxy
from bots.admin.login_pages import LOG_OUT, ConnectingAdmin
from bots.logins.page_requests import login_summary
from bots.models import Bot, BotBlock, BotSession, BotStateChange
from bots.worker.hosts import hosts_alive
from panelkit.base import FactInline
from panelkit.forms.secret_fields import SecretField, SecretForm
from panelkit.labels import choice_label, moment, moment_with_zone, waits
from panelkit.operations import Operation, when_in
from telegram.logins.types import LoginError


def _remove_box(label: str) -> forms.BooleanField:
    return forms.BooleanField(required=False, label=label, widget=UnfoldBooleanSwitchWidget)


class BotForm(SecretForm):
    phone = SecretField(help_text="In international form, for example +49 151 1234567")
    api_hash = SecretField(
        required=False, label="API hash", help_text="If no hash is stored, the setting TELEGRAM_API_HASH is used."
    )
    remove_api_hash = _remove_box("Remove API hash")
    proxy_url = SecretField(
        required=False,
        label="Proxy URL",
        help_text="For example socks5://user:password@host:port, http://… or mtproxy://secret@host:port",
    )
    remove_proxy_url = _remove_box("Remove proxy URL")

    clean_proxy_url = checked_proxy

    def clean_role(self) -> str:
        role: str = self.cleaned_data["role"]
        if self.instance.pk and "role" in self.changed_data:
            problem = role_problem(bot_id=self.instance.pk, role=role)
            if problem:
                raise forms.ValidationError(problem)
        return role

    class Meta:
        model = Bot
        exclude = ("phone", "api_hash", "proxy_url")


class NotDone(Exception):
    """The state of the account or worker does not allow this change."""


def _stop(bot: Bot, reason: str) -> None:
    if not services.bot_stop(bot_id=bot.pk, reason=reason):
        raise NotDone("it is already stopped, or it is banned or logged out and therefore not connected")


def _start(bot: Bot, reason: str) -> Bot:
    if not services.bot_start(bot_id=bot.pk, reason=reason):
        raise NotDone("only a stopped account can be started; log in an account that is banned or logged out")
    return Bot.objects.only("state", "enabled").get(pk=bot.pk)


def _started(bot: Bot) -> str:
    if not bot.enabled:
        return "is started but still disabled. Enable it below so that it connects."
    if bot.state == Bot.State.RESTRICTED:
        return "is started but still restricted. It sends no first contacts until you release it."
    return "is started."


def _release(bot: Bot, reason: str) -> None:
    if not services.bot_release(bot_id=bot.pk, reason=reason):
        raise NotDone("it is no longer restricted")


class StateChangeInline(FactInline):
    model = BotStateChange
    verbose_name_plural = "state changes"
    fields = ("at", "state_label", "reason")
    readonly_fields = ("state_label",)
    show_change_link = False

    state_label = choice_label("state")


class BlockInline(FactInline):
    model = BotBlock
    verbose_name_plural = "flood waits"
    fields = ("reason", "method", "peer_id", "until")
    ordering = ("-until",)


@admin.register(Bot)
class BotAdmin(ConnectingAdmin):
    instead_of_deleting = "Log the account out instead: it then sends and reads nothing, and Telegram ends its session."
    empty_hint = "Connect an account that the team owns: by phone number, with a QR code, or with an existing session."
    form = BotForm
    secret_fields = ("phone", "api_hash", "proxy_url")
    list_display = ("name", "key", "role_label", "state_label", "why", "login", "phone_hidden", "enabled", "worker")
    list_filter = (("role", ChoicesDropdownFilter), ("state", ChoicesDropdownFilter), "enabled")
    search_fields = ("key", "display_name", "username", "=telegram_user_id")
    ordering = ("key",)
    readonly_fields = (
        "state_label",
        "since",
        "why",
        "next_step",
        "blocked_until",
        "telegram_user_id",
        "username",
        "worker",
        "lease_epoch",
        "dispatched_at",
        "created_at",
    )
    fieldsets = (
        (None, {"fields": (("key", "display_name"), ("role", "enabled"))}),
        ("State", {"fields": (("state_label", "since"), ("why", "next_step"), ("worker", "blocked_until"))}),
        (
            "Secrets (stored values are never shown)",
            {
                "fields": (
                    "phone",
                    "api_id",
                    ("api_hash", "remove_api_hash"),
                    ("proxy_url", "remove_proxy_url"),
                )
            },
        ),
        (
            "Technical details",
            {
                "fields": (
                    ("username", "telegram_user_id"),
                    ("lease_epoch", "dispatched_at"),
                    "created_at",
                )
            },
        ),
    )
    inlines = (StateChangeInline, BlockInline)
    service_errors = (NotDone, LoginError)
    operations = (
        Operation(
            "stop",
            "Stop",
            run=lambda bot, call: _stop(bot, f"stopped by {call.by}"),
            done="is stopped. Its worker disconnects it within seconds, and its messages wait.",
            icon="stop",
            variant="danger",
            when=lambda bot: bot.state not in BARRED,
            bulk=True,
        ),
        Operation(
            "start",
            "Start",
            run=lambda bot, call: _start(bot, f"started by {call.by}"),
            done=_started,
            icon="play_arrow",
            variant="primary",
            when=when_in(Bot.State.STOPPED),
            bulk=True,
        ),
        Operation(
            "release",
            "Release the restriction",
            run=lambda bot, call: _release(bot, f"released by {call.by}"),
            done="is released.",
            icon="lock_open",
            when=when_in(Bot.State.RESTRICTED),
            confirm="Telegram has restricted this account. Release it only after you have checked it in Telegram: "
            "it then sends first contacts again.",
        ),
        LOG_OUT,
    )

    def save_model(self, request: HttpRequest, obj: Bot, form: Any, change: Any) -> None:
        if change and "role" in form.changed_data:
            role_change(bot_id=obj.pk, role=form.cleaned_data["role"])
        super().save_model(request, obj, form, change)

    role_label = choice_label("role")
    state_label = choice_label("state")

    @display(description="account", ordering="display_name")
    def name(self, bot: Bot) -> str:
        return str(bot)

    @display(description="reason")
    def why(self, bot: Bot) -> str:
        return waits(bot.state_reason, waits_until(bot, timezone.now()))

    @display(description="since")
    def since(self, bot: Bot) -> str:
        return moment(bot.history.values_list("at", flat=True).first() or bot.created_at)

    @display(description="next step")
    def next_step(self, bot: Bot) -> str:
        if summary := login_summary(bot_id=bot.pk):
            return summary
        has_session = BotSession.objects.filter(bot=bot).exists()
        return next_step(bot, has_session=has_session, has_worker=hosts_alive(bot.role).exists())

    @display(description="phone")
    def phone_hidden(self, bot: Bot) -> str:
        return "••••••"

    @display(description="worker", ordering="lease_owner")
    def worker(self, bot: Bot) -> str:
        if bot.lease_expires_at is None:
            return "none"
        return f"{bot.lease_owner} (lease until {moment_with_zone(bot.lease_expires_at)})"
