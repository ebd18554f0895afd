"""Backtests: what a change of the keywords would have found in the last days of the watched chats."""

import uuid

from django.db import models
from django.db.models.functions import Now

from campaigns.models import Campaign, Chat


class Backtest(models.Model):
    """The watching accounts read the chats' last days again and compare two lists of keywords in memory.

    `before` and `after` are lists of keywords as in `KeywordVersion`. `chats` is the progress in each chat
    (`parser.lab.backtests.ChatProgress`).
    """

    class State(models.TextChoices):
        READING = "reading", "Reading"
        DONE = "done", "Done"
        CANCELLED = "cancelled", "Cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="backtests")
    state = models.CharField(max_length=9, choices=State, default=State.READING)
    days = models.PositiveSmallIntegerField(help_text="How many days back the chats are read")
    before = models.JSONField(default=list)
    after = models.JSONField(default=list)
    chats = models.JSONField(default=list)
    lost = models.PositiveIntegerField(default=0, help_text="Messages that only the keywords before the change match")
    gained = models.PositiveIntegerField(default=0, help_text="Messages that only the changed keywords match")
    matched = models.PositiveIntegerField(default=0, help_text="Messages that the changed keywords match")
    by = models.CharField(max_length=150)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign"], condition=models.Q(state="reading"), name="one_backtest_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"backtest of {self.campaign}"


class BacktestMatch(models.Model):
    """A message that only one of a backtest's two lists matches, as an example."""

    backtest = models.ForeignKey(Backtest, on_delete=models.CASCADE, related_name="matches")
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="+")
    message_id = models.BigIntegerField()
    telegram_user_id = models.BigIntegerField()
    text = models.TextField()
    gained = models.BooleanField(help_text="Whether the changed keywords match it")
    said_at = models.DateTimeField("sent at")

    class Meta:
        verbose_name_plural = "backtest matches"
        constraints = [
            models.UniqueConstraint(fields=["backtest", "chat", "message_id"], name="one_backtest_match_per_message"),
        ]
        indexes = [models.Index(fields=["telegram_user_id"], name="backtest_matches_of_person")]

    def __str__(self) -> str:
        return f"{'gained' if self.gained else 'lost'} in {self.chat_id}"
