"""Messages that matched keywords."""

import uuid

from django.db import models
from django.db.models import Value
from django.db.models.functions import Lower, Now

from bots.models import Bot
from campaigns.models import Campaign, Chat


class Hit(models.Model):
    """A message that matched a campaign's keywords.

    `message_id` is the message's id as the parser bot sees it. `peer_id` is the marked id that the chat had when the
    message arrived: when a group becomes a supergroup, its messages get new ids.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="hits")
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="hits", verbose_name="account")
    chat = models.ForeignKey(Chat, on_delete=models.PROTECT, related_name="hits")
    peer_id = models.BigIntegerField(default=0, help_text="The chat's marked id when the message arrived")
    message_id = models.BigIntegerField(help_text="The message's id in the parser account")
    grouped_id = models.BigIntegerField(null=True, blank=True, help_text="The album that the message belongs to")
    topic_id = models.BigIntegerField(
        "topic", null=True, blank=True, help_text="The topic of a forum in which the message is"
    )
    telegram_user_id = models.BigIntegerField()
    username = models.CharField(max_length=64, blank=True, default="")
    text = models.TextField()
    text_key = models.BigIntegerField(
        null=True, blank=True, editable=False, help_text="Equal for texts with the same words (`parser.repeats`)"
    )
    keyword = models.CharField(max_length=400, help_text="The first keyword that matched")
    reasons = models.JSONField(
        default=list,
        blank=True,
        db_default=Value([], models.JSONField()),
        help_text="Each keyword that matched, with the places in the text and the rule",
    )
    said_at = models.DateTimeField("sent at", help_text="Telegram's time of the message, or of the edit that matched")
    from_edit = models.BooleanField(
        "matched after an edit",
        default=False,
        db_default=False,
        help_text="The message's first text was no hit; its edited text is",
    )
    edited_text = models.TextField(
        blank=True, default="", db_default="", help_text="The message's text after its latest edit"
    )
    edited_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(
        null=True, blank=True, help_text="When CoolThing noticed that the message was deleted in the chat"
    )
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
            models.UniqueConstraint(
                fields=["telegram_user_id", "campaign", "text_key"],
                condition=models.Q(text_key__isnull=False),
                name="one_hit_per_person_and_text",
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


class HitRepeat(models.Model):
    """A message with the text of a hit, by the same person in another chat of the same campaign."""

    hit = models.ForeignKey(Hit, on_delete=models.CASCADE, related_name="repeats")
    chat = models.ForeignKey(Chat, on_delete=models.PROTECT, related_name="repeated_hits")
    peer_id = models.BigIntegerField(help_text="The chat's marked id when the message arrived")
    message_id = models.BigIntegerField(help_text="The message's id in the parser account")
    said_at = models.DateTimeField("sent at", help_text="Telegram's time of the message")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "repeated message"
        constraints = [
            models.UniqueConstraint(fields=["message_id", "peer_id", "chat", "hit"], name="one_repeat_per_message"),
        ]
        indexes = [models.Index(fields=["-created_at"], name="repeats_newest")]

    def __str__(self) -> str:
        return f"{self.hit.keyword} repeated in {self.chat}"
