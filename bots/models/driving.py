"""Who drives the accounts, which incidents are open, and what the accounts have read and entered."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from bots.models.accounts import Bot, Role
from campaigns.models import Chat


class Host(models.Model):
    """One running bots worker: what it can carry and whether it still lives."""

    name = models.CharField(max_length=120, primary_key=True)
    role = models.CharField(max_length=10, choices=Role)
    capacity = models.PositiveIntegerField()
    draining = models.BooleanField(default=False, help_text="It takes no bots and hands over those it has")
    drain_requested = models.BooleanField(default=False, help_text="A person wants it empty")
    heartbeat_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class Trouble(models.Model):
    """Something that is wrong now and has been told. Deleted when it is over, so that the next time is told again."""

    key = models.CharField(max_length=200, primary_key=True)
    reason = models.CharField(max_length=300)
    count = models.PositiveIntegerField(default=1)
    since = models.DateTimeField(db_default=Now())
    last_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.reason


class Cursor(models.Model):
    """Up to where a bot's messages of one chat have been recorded: the truth about what was read."""

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
    """That a bot's account was in a chat when it last looked: one that is missing later was removed."""

    bot = models.ForeignKey(Bot, on_delete=models.CASCADE, related_name="presences")
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="presences")
    peer_id = models.BigIntegerField(help_text="Marked id of the chat")
    since = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["bot", "chat"], name="one_presence_per_chat")]

    def __str__(self) -> str:
        return f"{self.bot} in {self.chat}"
