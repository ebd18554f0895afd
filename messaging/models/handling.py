"""The records of handlers: handled events, failures and statistics."""

from django.db import models
from django.db.models.functions import Now


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
