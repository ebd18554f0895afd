"""The bus's records: events to publish, handled events, dead letters, replays, and queues' pauses and statistics."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from messaging.broker import topology
from messaging.broker.routing import Address


class OutboxEvent(models.Model):
    """An event that was committed together with the change that it reports, for the relay to publish.

    The relay reads rows in the order of `id`, publishes them and sets `published_at` once the broker has confirmed.
    For an unpublishable event, which the broker will never accept, it sets `parked_at` and `parked_reason`, so that the
    row does not block the others.
    """

    id = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField()
    service = models.CharField(max_length=40)
    exchange = models.CharField(max_length=120)
    routing_key = models.CharField(max_length=255)
    body = models.TextField(help_text="The JSON text that is sent")
    headers = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    published_at = models.DateTimeField(null=True, blank=True)
    parked_at = models.DateTimeField("unpublishable since", null=True, blank=True)
    parked_reason = models.TextField("reason", blank=True, default="")

    class Meta:
        indexes = [
            models.Index(
                fields=["id"],
                name="outbox_waiting",
                condition=models.Q(published_at__isnull=True, parked_at__isnull=True),
            ),
            models.Index(fields=["published_at"], name="outbox_published"),
            models.Index(fields=["event_id"], name="outbox_parked", condition=models.Q(parked_at__isnull=False)),
            models.Index(fields=["event_id"], name="outbox_event"),
        ]

    def __str__(self) -> str:
        return f"{self.routing_key} {self.event_id}"


class ProcessedEvent(models.Model):
    """A record that a subscription has handled an event, written in the transaction of the handler's changes."""

    event_id = models.UUIDField()
    subscription = models.CharField(max_length=120, help_text="The queue from which the event was consumed")
    processed_at = models.DateTimeField(db_default=Now())
    seconds = models.FloatField(
        "duration",
        null=True,
        blank=True,
        help_text="How many seconds the handler took; for an event of a batch, the time of the whole batch",
    )

    class Meta:
        verbose_name = "handled event"
        constraints = [
            models.UniqueConstraint(fields=["event_id", "subscription"], name="event_handled_once"),
        ]
        indexes = [models.Index(fields=["processed_at"], name="processed_at")]

    def __str__(self) -> str:
        return f"{self.subscription} {self.event_id}"


class HandledCopy(models.Model):
    """A record that a queue's handler has handled a message without an id. Kept for a day.

    The content identifies the message if the broker delivers it again. `found` is the number of earlier deliveries that
    the broker reported when it last delivered the message.
    """

    subscription = models.CharField(max_length=120)
    content = models.UUIDField(help_text="An id derived from exchange, routing key and body")
    found = models.PositiveIntegerField("earlier deliveries")
    handled_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "handled message without an id"
        verbose_name_plural = "handled messages without an id"
        indexes = [
            models.Index(fields=["subscription", "content", "handled_at"], name="copies_by_content"),
            models.Index(fields=["handled_at"], name="copies_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.subscription} {self.content}"


class HandlingFailure(models.Model):
    """Why a handler rejected a message. AMQP's reject has no reason, so the archive takes it from these rows."""

    queue = models.CharField(max_length=120)
    body_digest = models.CharField(max_length=64, help_text="SHA-256 of the body, in hexadecimal digits")
    # Several events may have the same body and fail for different reasons. Null: the message had no id.
    event_id = models.UUIDField(null=True)
    error = models.TextField()
    traceback = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["queue", "body_digest", "-created_at"], name="failure_lookup"),
            models.Index(fields=["created_at"], name="failure_age"),
        ]

    def __str__(self) -> str:
        return f"{self.queue} {self.error[:80]}"


class DeadLetter(models.Model):
    """The last copy of a message that was rejected, expired or unroutable, kept until an operator decides about it."""

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
        """The exchange and routing key under which a replay sends the message, which are also its type."""
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


class QueueControl(models.Model):
    """Whether a queue's consumers are paused. Every worker applies this setting, after a restart too."""

    queue = models.CharField(max_length=120, primary_key=True)
    paused = models.BooleanField(default=False)
    reason = models.CharField(max_length=200, blank=True, default="")
    changed_by = models.CharField(max_length=150, blank=True, default="")
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.queue} {'paused' if self.paused else 'running'}"


class QueueSample(models.Model):
    """The broker's statistics of a queue at one moment. All samples of one request to the broker have the same `at`."""

    at = models.DateTimeField("time", db_default=Now())
    queue = models.CharField(max_length=120)
    ready = models.BigIntegerField("messages ready")
    unacked = models.BigIntegerField("messages unacknowledged")
    consumers = models.PositiveIntegerField()
    published = models.BigIntegerField(
        "messages published", help_text="Messages that publishers have sent to the queue since the broker started"
    )
    publish_rate = models.FloatField("published per second", help_text="The average since the previous sample")
    ack_rate = models.FloatField("acknowledged per second", help_text="The average since the previous sample")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["at", "queue"], name="one_sample_per_look_and_queue")]

    def __str__(self) -> str:
        return f"{self.queue} {self.at:%H:%M:%S}"


class HandlingBucket(models.Model):
    """One bucket of a histogram about handlers, summed over all processes. The values never decrease.

    `count` observations were at most `bound` and above the next lower bound; `total` is the sum of these observations.
    """

    metric = models.CharField(max_length=40)
    subscription = models.CharField(max_length=120, help_text="The queue from which the events were consumed")
    bound = models.FloatField("upper bound (s)")
    count = models.BigIntegerField()
    total = models.FloatField("sum (s)")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["metric", "subscription", "bound"], name="one_bucket_per_bound"),
        ]

    def __str__(self) -> str:
        return f"{self.metric} {self.subscription} ≤ {self.bound}"
