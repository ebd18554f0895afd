"""The hosts that drive the accounts, the open incidents, and which messages and chats the accounts have reached."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from bots.models.accounts import Bot, Role
from campaigns.models import Chat


class Host(models.Model):
    """One running bots worker process: how many bots it can take, and when it last reported that it is alive."""

    name = models.CharField(max_length=120, primary_key=True)
    role = models.CharField(max_length=10, choices=Role)
    capacity = models.PositiveIntegerField()
    draining = models.BooleanField(default=False, help_text="It takes no bots and hands over those it has")
    drain_requested = models.BooleanField(default=False, help_text="A person wants it empty")
    heartbeat_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class Incident(models.Model):
    """An open incident. The row is deleted when the incident is over, so that a later one is reported again."""

    key = models.CharField(max_length=200, primary_key=True)
    reason = models.CharField(max_length=300)
    count = models.PositiveIntegerField(default=1)
    since = models.DateTimeField(db_default=Now())
    last_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "bots_trouble"

    def __str__(self) -> str:
        return self.reason


class Cursor(models.Model):
    """The last message of a chat that a bot has recorded. Reading resumes after it."""

    bot = models.ForeignKey(Bot, on_delete=models.CASCADE, related_name="cursors")
    peer_id = models.BigIntegerField(help_text="Marked chat id, or the user id of a direct chat")
    last_message_id = models.BigIntegerField(default=0)
    gaps = models.BigIntegerField(default=0, help_text="How often live messages skipped some")
    gap_messages = models.BigIntegerField(default=0, help_text="How many were skipped, and read from the history")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["bot", "peer_id"], name="one_cursor_per_chat")]
        # Read at each scrape of the metrics.
        indexes = [
            models.Index(
                fields=["bot"], include=["gaps", "gap_messages"], name="cursors_with_gaps", condition=Q(gaps__gt=0)
            )
        ]

    def __str__(self) -> str:
        return f"{self.bot} {self.peer_id}: {self.last_message_id}"


class Presence(models.Model):
    """A chat in which the bot's account was when it last checked. If it is not in the chat later, it was removed."""

    bot = models.ForeignKey(Bot, on_delete=models.CASCADE, related_name="presences")
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="presences")
    peer_id = models.BigIntegerField(help_text="Marked id of the chat")
    since = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["bot", "chat"], name="one_presence_per_chat")]

    def __str__(self) -> str:
        return f"{self.bot} in {self.chat}"
