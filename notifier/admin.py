"""The pages of channels with their rules, and of notifications."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from messaging.admin.parts import trace_link
from messaging.observability.metrics import SERVICES
from notifier.channels.addresses import address_problem
from notifier.channels.rules import KNOWN_KEYS, channel_default_rules, pattern_problem
from notifier.models import Channel, Notification, Rule
from notifier.notifications.testing import channel_test, last_test
from notifier.selectors import failure_text, with_failure
from panelkit.base import FactAdmin, PanelAdmin, RowsInline
from panelkit.forms.secret_fields import SecretField, SecretForm
from panelkit.labels import choice_label, text_column, waits
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.operations import Operation
from vault.fields import UnreadableSecret

ADDRESS_HELP = (
    "File: a name without a folder, such as team.jsonl, of a file in NOTIFICATION_FILES_DIR. Webhook: a URL. Apprise: "
    "a URL such as tgram://BOT_TOKEN/CHAT_ID, mailtos://user:password@example.org?to=team@example.org, slack://… or "
    "matrixs://… (see appriseit.com). The address is stored encrypted and never shown again."
)


PATTERN_HELP = (
    "Words separated by dots: * stands for any single word, # for any number of words. For example, *.error matches "
    "the errors of every service, bots.# all events of bots, and # every event. Known events: "
    f"{', '.join(KNOWN_KEYS)}; SERVICE is one of {', '.join(SERVICES)}."
)


class RuleForm(forms.ModelForm):
    class Meta:
        model = Rule
        fields = ("channel", "pattern")
        help_texts = {"pattern": PATTERN_HELP}

    def clean_pattern(self) -> str:
        pattern: str = self.cleaned_data["pattern"]
        if problem := pattern_problem(pattern):
            raise forms.ValidationError(f"This {problem}. {PATTERN_HELP}")
        return pattern


class RuleInline(RowsInline):
    model = Rule
    form = RuleForm
    tab = False


class ChannelForm(SecretForm):
    address = SecretField(help_text=ADDRESS_HELP)

    class Meta:
        model = Channel
        exclude = ("address",)

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        kind, address = given.get("kind"), given.get("address")
        if kind and not address and "kind" in self.changed_data and not self.instance._state.adding:
            self.add_error("address", "You have changed the kind of the channel: enter an address of the new kind.")
        elif kind and address and (problem := address_problem(kind=kind, address=address)):
            self.add_error("address", f"{problem[:1].upper()}{problem[1:]}.")
        return given


@admin.register(Channel)
class ChannelAdmin(PanelAdmin):
    empty_hint = (
        "The team is notified through channels, such as a Telegram bot, e-mail, Slack, a webhook or a file. Add the "
        "first channel."
    )
    form = ChannelForm
    secret_fields = ("address",)
    fields = ("name", "kind", "address", "enabled", "problem")
    list_display = ("name", "kind_label", "enabled", "problem", "patterns")
    readonly_fields = ("problem",)
    list_filter = (("kind", ChoicesDropdownFilter), "enabled")
    search_fields = ("name",)
    ordering = ("name",)
    inlines = (RuleInline,)
    live_template = "notifier/channel_test.html"
    operations = (
        Operation(
            "test",
            "Send a test",
            run=lambda channel, call: channel_test(channel_id=channel.pk),
            done="gets a test notification. The page of the channel shows the result.",
            icon="send",
        ),
    )

    kind_label = choice_label("kind")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        return with_failure(super().get_queryset(request)).prefetch_related("rules")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if not change and channel_default_rules(channel_id=form.instance.pk):
            message = (
                "You added no rule, so the channel has the default rules: errors, crashes, bans, finished scripts, and "
                "everything that waits for an operator."
            )
            self.message_user(request, message, messages.INFO)

    def live_context(self, channel: Channel) -> dict[str, Any]:
        return {"test": last_test(channel)}

    @display(description="problem")
    def problem(self, channel: Channel) -> str:
        return _problem(channel) or failure_text(channel) or "–"

    @display(description="rules")
    def patterns(self, channel: Channel) -> str:
        return ", ".join(sorted(rule.pattern for rule in channel.rules.all()))


def _problem(channel: Channel) -> str:
    """Why no notification can reach this channel, for example because of an address from an earlier release."""
    if channel._state.adding:
        return ""
    try:
        return address_problem(kind=channel.kind, address=channel.address)
    except UnreadableSecret:
        return "the address was encrypted with a key that is no longer in use: enter the address again"


@admin.register(Rule)
class RuleAdmin(PanelAdmin):
    empty_hint = "A rule defines which events a channel reports."
    form = RuleForm
    list_display = ("pattern", "channel")
    list_filter = (("channel", RelatedDropdownFilter),)
    list_select_related = ("channel",)
    search_fields = ("pattern", "channel__name")
    autocomplete_fields = ("channel",)
    ordering = ("channel__name", "pattern")


@admin.register(Notification)
class NotificationAdmin(FactAdmin):
    empty_hint = "CoolThing creates a notification when an event matches a rule of an enabled channel."
    list_display = (
        "created_at",
        "title_short",
        "routing_key",
        "channel",
        "state_label",
        "waiting",
        "attempts",
        "sent_at",
    )
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("channel", RelatedDropdownFilter),
        ("created_at", RangeDateTimeFilter),
    )
    list_select_related = ("channel",)
    search_fields = ("title", "routing_key", "event_id")
    ordering = ("-created_at",)
    readonly_fields = ("trace",)
    trace = trace_link

    state_label = choice_label("state")
    title_short = text_column("title", length=120)

    @display(description="reason")
    def waiting(self, notification: Notification) -> str:
        if notification.state != Notification.State.QUEUED:
            return notification.error
        why = "related events may follow" if notification.bundle_at == notification.due_at else "not sent yet"
        return waits(notification.error or why, notification.due_at)
