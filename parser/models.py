"""The parser bots' keywords and watched chats, and their hits."""

import uuid

from django.db import models
from django.db.models.functions import Lower, Now

from bots.models import Bot
from campaigns.models import Campaign, Chat


class Keyword(models.Model):
    """A word or phrase, matched by stems. One minus keyword in a message outweighs every plus keyword."""

    class Kind(models.TextChoices):
        PLUS = "plus", "Plus: looks for it"
        MINUS = "minus", "Minus: leaves the message alone"

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="keywords")
    kind = models.CharField(max_length=5, choices=Kind, default=Kind.PLUS)
    text = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "kind", "text"],
                name="one_keyword_per_text",
                violation_error_message="The campaign has this keyword already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{'−' if self.kind == self.Kind.MINUS else ''}{self.text}"


class WatchedChat(models.Model):
    """A chat that a parser bot reads for a campaign."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="watched_chats")
    chat = models.ForeignKey(Chat, on_delete=models.PROTECT, related_name="watched_by")
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="watches")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "chat"],
                name="one_watch_per_campaign_and_chat",
                violation_error_message="This chat is watched for the campaign already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chat} for {self.campaign}"


class Hit(models.Model):
    """A message that a campaign's keywords matched.

    `message_id` is the message's id for the parser bot. `peer_id` is the marked id that the chat had at that time: a
    group that becomes a supergroup gets new message ids.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="hits")
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="hits")
    chat = models.ForeignKey(Chat, on_delete=models.PROTECT, related_name="hits")
    peer_id = models.BigIntegerField(default=0, help_text="Marked id of the chat at that time")
    message_id = models.BigIntegerField()
    grouped_id = models.BigIntegerField(null=True, blank=True, help_text="The album that the message belongs to")
    telegram_user_id = models.BigIntegerField()
    username = models.CharField(max_length=64, blank=True, default="")
    text = models.TextField()
    keyword = models.CharField(max_length=200, help_text="The plus keyword that matched")
    said_at = models.DateTimeField(help_text="Telegram's time of the message")
    edited_text = models.TextField(
        blank=True, default="", db_default="", help_text="How it reads in the chat since it was edited"
    )
    edited_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True, help_text="When it was found to be gone from the chat")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "bot", "chat", "peer_id", "message_id"], name="one_hit_per_message"
            ),
            models.UniqueConstraint(
                fields=["campaign", "bot", "chat", "grouped_id"],
                condition=models.Q(grouped_id__isnull=False),
                name="one_hit_per_album",
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at"], name="hits_newest"),
            models.Index(fields=["telegram_user_id"], name="hits_of_person"),
            # Edits and deletions contain only these ids.
            models.Index(fields=["message_id", "peer_id"], name="hits_of_message"),
            models.Index(
                Lower("username"), models.F("said_at").desc(), name="hits_of_username", condition=~models.Q(username="")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.keyword} in {self.chat}"

    @property
    def event_id(self) -> uuid.UUID:
        """The id of the event that reports this hit. It is the hit's id, so each can be found from the other."""
        return self.id
