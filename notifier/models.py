"""The team's notification channels, their rules, and the notifications."""

import uuid

from django.db import models
from django.db.models.functions import Now

from vault.fields import EncryptedTextField


class Channel(models.Model):
    """A destination of notifications. `address` is a secret: a webhook's URL usually carries a token."""

    class Kind(models.TextChoices):
        FILE = "file", "File: one JSON object per line"
        WEBHOOK = "webhook", "Webhook: an HTTP POST with a JSON body"
        APPRISE = "apprise", "Apprise: a Telegram bot, e-mail, Slack, Matrix and other services"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=10, choices=Kind)
    address = EncryptedTextField(help_text="The name of the file, or the URL of the webhook or for Apprise")
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class Rule(models.Model):
    """Which events a channel reports. `pattern` is a topic pattern for routing keys, as in AMQP: `*.crash`, `#`."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="rules")
    pattern = models.CharField(max_length=120)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "pattern"],
                name="one_rule_per_pattern",
                violation_error_message="The channel has a rule with this pattern already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pattern} → {self.channel}"


class Notification(models.Model):
    """The notification of one event for one channel.

    `dispatched_at` is when a task for the notification was last sent. Until `claimed_until` a task works on it. Related
    events have the same `bundle`, and get one notification together: it stands for `count` events and is sent at
    `bundle_at`.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        SENT = "sent"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="notifications")
    event_id = models.UUIDField()
    routing_key = models.CharField(max_length=255)
    title = models.CharField(max_length=500)
    count = models.IntegerField(default=1, db_default=1)
    bundle = models.CharField(max_length=200, blank=True, default="", db_default="")
    bundle_at = models.DateTimeField(null=True, blank=True)
    body = models.JSONField(default=dict)
    state = models.CharField(max_length=8, choices=State, default=State.QUEUED)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())
    dispatched_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "event_id"], name="one_notification_per_event")]
        indexes = [
            models.Index(fields=["state", "due_at"], name="notifications_due"),
            models.Index(
                fields=["channel", "bundle", "bundle_at"],
                condition=models.Q(bundle_at__isnull=False),
                name="notifications_bundled",
            ),
            models.Index(fields=["-created_at"], name="notifications_newest"),
            # For the last failures of a channel: `notifier.selectors.with_failure`.
            models.Index(
                fields=["channel", "-sent_at"], condition=models.Q(state="sent"), name="notifications_arrived"
            ),
            models.Index(fields=["channel", "-due_at"], condition=~models.Q(error=""), name="notifications_failing"),
        ]

    def __str__(self) -> str:
        return self.title
