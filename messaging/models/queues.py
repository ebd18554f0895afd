"""The pauses of queues, and samples of the queues' statistics."""

from django.db import models
from django.db.models.functions import Now


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
