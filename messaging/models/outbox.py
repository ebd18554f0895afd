"""The outbox: events that the relay publishes."""

from django.db import models
from django.db.models.functions import Now


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
