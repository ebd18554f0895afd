"""Dead letters, their history, and their replays in the background."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from messaging.broker import topology
from messaging.broker.routing import Address


class DeadLetter(models.Model):
    """The last copy of a message that was rejected, expired or unroutable. An operator decides what happens to it."""

    class State(models.TextChoices):
        OPEN = "open"
        REPLAYED = "replayed"
        DISCARDED = "discarded"

    event_id = models.UUIDField()
    queue = models.CharField(
        max_length=120, blank=True, help_text="The queue in which the message died; empty if it was unroutable"
    )
    exchange = models.CharField(max_length=120, blank=True)
    routing_key = models.CharField(max_length=255, blank=True)
    event_type = models.CharField(
        "type",
        max_length=255,
        blank=True,
        default="",
        help_text="Exchange and routing key; * stands for an id",
    )
    campaign_id = models.UUIDField("campaign", null=True, blank=True, help_text="The campaign that the body refers to")
    body = models.TextField(help_text="The original body; bytes that are not UTF-8 are shown as \\xNN")
    body_digest = models.CharField(max_length=64)
    edited_body = models.TextField(
        blank=True, default="", help_text="The body that replays send instead of the original"
    )
    edited_exchange = models.CharField(
        max_length=120,
        blank=True,
        default="",
        db_default="",
        help_text="The exchange to which replays are published; empty: the original exchange and routing key",
    )
    edited_routing_key = models.CharField(max_length=255, blank=True, default="", db_default="")
    headers = models.JSONField(default=dict, blank=True)
    x_death = models.JSONField(default=list, blank=True)
    reason = models.CharField(
        max_length=40,
        help_text="Why the message died: rejected, expired, delivery_limit, maxlen, unroutable or unpublished",
    )
    error = models.TextField(blank=True, default="")
    error_class = models.CharField(max_length=120, blank=True, default="")
    traceback = models.TextField(blank=True, default="")
    count = models.PositiveIntegerField("deaths", default=1)
    first_seen_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    decided_by = models.CharField(
        max_length=150,
        blank=True,
        default="",
        help_text="The user who last replayed, discarded or reopened the dead letter",
    )
    decision_reason = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        permissions = [("edit_deadletter", "Can edit what a replay sends")]
        constraints = [
            models.UniqueConstraint(fields=["queue", "event_id", "body_digest"], name="one_letter_per_event_and_queue"),
        ]
        indexes = [
            models.Index(fields=["state", "-last_seen_at"], name="letters_by_state"),
            models.Index(fields=["-last_seen_at"], name="letters_newest"),
            models.Index(fields=["event_id"], name="letters_of_event"),
            models.Index(fields=["campaign_id", "-last_seen_at"], name="letters_of_campaign"),
            models.Index(fields=["event_type"], name="letters_by_type"),
            models.Index(fields=["error_class"], name="letters_by_error"),
        ]

    def __str__(self) -> str:
        return f"{self.queue or 'unroutable'} {self.routing_key} {self.event_id}"

    @property
    def task(self) -> str:
        """The name of the Celery task if the message is from a work queue; empty for an event."""
        name = self.headers.get("task")
        return name if self.queue in topology.TASKS and isinstance(name, str) else ""

    @property
    def body_to_send(self) -> str:
        return self.edited_body or self.body

    @property
    def is_readdressed(self) -> bool:
        return bool(self.edited_exchange)

    @property
    def address(self) -> Address:
        """The exchange and routing key with which a replay sends the message. They determine the message's type."""
        if self.is_readdressed:
            return Address(self.edited_exchange, self.edited_routing_key)
        return Address(self.exchange, self.routing_key)


class DeadLetterEntry(models.Model):
    """An entry of a dead letter's history: an operator's action, or a replay that became a dead letter again."""

    class What(models.TextChoices):
        EDITED = "edited"
        REPLAYED = "replayed"
        DIED_AGAIN = "died_again", "died again"
        DISCARDED = "discarded"
        REOPENED = "reopened"

    letter = models.ForeignKey(DeadLetter, on_delete=models.CASCADE, related_name="history", verbose_name="dead letter")
    at = models.DateTimeField("time", db_default=Now())
    what = models.CharField("action", max_length=12, choices=What)
    by = models.CharField("user", max_length=150, blank=True, default="")
    note = models.TextField(blank=True, default="")
    replay = models.UUIDField(
        null=True, blank=True, help_text="The id of the replay, which is also in the message's headers"
    )

    class Meta:
        verbose_name = "entry of a dead letter's history"
        verbose_name_plural = "dead letter history"
        constraints = [
            models.UniqueConstraint(fields=["replay", "what"], name="one_entry_per_replay"),
        ]
        indexes = [models.Index(fields=["letter", "at"], name="history_of_letter")]

    def __str__(self) -> str:
        return f"{self.get_what_display()} {self.at:%Y-%m-%d %H:%M:%S}"


class ReplayBatch(models.Model):
    """Dead letters that are replayed one after the other in the background. `what` describes the selection."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        STOPPED = "stopped"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(db_default=Now())
    by = models.CharField("user", max_length=150)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    what = models.TextField("selection")
    per_second = models.PositiveIntegerField("rate", help_text="The maximum number of dead letters per second")
    state = models.CharField(max_length=8, choices=State, default=State.RUNNING)
    advanced_at = models.DateTimeField(null=True, blank=True, help_text="The time of the latest step of this replay")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "replay"
        indexes = [
            models.Index(fields=["created_at"], name="replays_running", condition=models.Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"replay of {self.created_at:%Y-%m-%d %H:%M:%S}"


class ReplayItem(models.Model):
    """One dead letter of a `ReplayBatch`.

    `sent`: its message has been written to the outbox. `refused`: it cannot be replayed; `note` contains the reason.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        REFUSED = "refused"

    batch = models.ForeignKey(ReplayBatch, on_delete=models.CASCADE, related_name="items", verbose_name="replay")
    letter = models.ForeignKey(
        DeadLetter, on_delete=models.CASCADE, related_name="replay_items", verbose_name="dead letter"
    )
    state = models.CharField(max_length=8, choices=State, default=State.WAITING, db_default=State.WAITING)
    note = models.TextField(blank=True, default="", db_default="")
    replay = models.UUIDField("replay id", null=True, blank=True)
    done_at = models.DateTimeField("processed at", null=True, blank=True)

    class Meta:
        verbose_name = "replayed dead letter"
        constraints = [models.UniqueConstraint(fields=["batch", "letter"], name="one_item_per_letter")]
        indexes = [models.Index(fields=["batch", "state", "id"], name="items_of_batch")]

    def __str__(self) -> str:
        return str(self.letter)
