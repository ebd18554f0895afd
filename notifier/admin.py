"""Channels with their rules, and what was sent through them."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter, RelatedDropdownFilter
from unfold.decorators import display

from messaging.admin.parts import trace_link
from notifier.models import Channel, Notification, Rule
from panelkit.base import FactAdmin, PanelAdmin, RowsInline
from panelkit.labels import choice_label, waits
from panelkit.secret_fields import SecretField, SecretForm


class RuleInline(RowsInline):
    model = Rule
    tab = False


class ChannelForm(SecretForm):
    address = SecretField(help_text="The file's path or the webhook's URL")

    class Meta:
        model = Channel
        exclude = ("address",)


@admin.register(Channel)
class ChannelAdmin(PanelAdmin):
    empty_hint = "A channel is where the team is told what happens: a webhook, or a file."
    form = ChannelForm
    secret_fields = ("address",)
    fields = ("name", "kind", "address", "enabled")
    list_display = ("name", "kind_label", "address_hidden", "enabled", "patterns")
    list_filter = (("kind", ChoicesDropdownFilter), "enabled")
    search_fields = ("name",)
    ordering = ("name",)
    inlines = (RuleInline,)

    kind_label = choice_label("kind")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        return super().get_queryset(request).prefetch_related("rules")

    @display(description="address")
    def address_hidden(self, channel: Channel) -> str:
        return "••••••"

    @display(description="hears of")
    def patterns(self, channel: Channel) -> str:
        return ", ".join(sorted(rule.pattern for rule in channel.rules.all()))


@admin.register(Rule)
class RuleAdmin(PanelAdmin):
    empty_hint = "A rule says which events are told in which channel."
    list_display = ("pattern", "channel")
    list_filter = (("channel", RelatedDropdownFilter),)
    list_select_related = ("channel",)
    search_fields = ("pattern", "channel__name")
    autocomplete_fields = ("channel",)
    ordering = ("channel__name", "pattern")


@admin.register(Notification)
class NotificationAdmin(FactAdmin):
    empty_hint = "One is made when an event fits the rule of a channel that is enabled."
    list_display = ("created_at", "title", "routing_key", "channel", "state_label", "waiting", "attempts", "sent_at")
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

    @display(description="waits because")
    def waiting(self, notification: Notification) -> str:
        if notification.state != Notification.State.QUEUED:
            return notification.error
        return waits(notification.error or "not sent yet", notification.due_at)
