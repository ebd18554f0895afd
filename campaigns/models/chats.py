"""Chats of the team, and which Telegram chat each row stands for."""

import uuid
from datetime import datetime

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

# The value of `Chat.reference_leads_to` for a chat whose id no account of the team can see.
UNSEEN_CHAT = 0


class Chat(models.Model):
    """A Telegram group or supergroup in which the team works."""

    class Kind(models.TextChoices):
        UNKNOWN = "unknown"
        GROUP = "group"
        SUPERGROUP = "supergroup"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.SlugField(unique=True, help_text="The chat's name in seed files")
    reference = models.CharField(
        max_length=200,
        unique=True,
        help_text="@username, an invite link, or the marked id (-100…, or -… for groups). If you change it, an "
        "account must confirm that the new reference leads to the same chat",
    )
    telegram_id = models.BigIntegerField(
        null=True, blank=True, unique=True, help_text="Marked id; empty until an account has found the chat"
    )
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.UNKNOWN)
    upgraded_from_id = models.BigIntegerField(
        "former Telegram id",
        null=True,
        blank=True,
        unique=True,
        help_text="Marked id of the basic group that became this supergroup",
    )
    upgraded_at = models.DateTimeField(null=True, blank=True, help_text="When an account first saw the supergroup")
    reference_changed_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When an operator changed the reference; empty once an account has confirmed that it leads to the "
        "same chat",
    )
    reference_leads_to = models.BigIntegerField(
        null=True,
        blank=True,
        help_text="Marked id of the other chat to which the reference led at the last check; 0 if no account can see "
        "the id",
    )
    title = models.CharField(max_length=200, blank=True, default="")
    discussion_id = models.BigIntegerField(
        "discussion group",
        null=True,
        blank=True,
        help_text="Marked id of the channel's discussion group, which contains the comments on the channel's posts. "
        "Parsers that watch the channel join the group and read only the comments; the channel's permission covers "
        "these. For anything else in the group, add the group as a chat and record its owner's permission",
    )
    label = models.CharField(
        max_length=300,
        blank=True,
        default="",
        help_text="Notice that informs the chat's members about scripts; required before scripts play here",
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(upgraded_from_id__isnull=True, upgraded_at__isnull=True)
                | Q(upgraded_from_id__isnull=False, upgraded_at__isnull=False, telegram_id__isnull=False),
                name="upgraded_chats_have_both_ids",
            ),
        ]
        indexes = [
            models.Index(
                fields=["reference_changed_at"],
                name="references_to_confirm",
                condition=Q(reference_changed_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.title or self.reference

    @property
    def ids_read(self) -> set[int]:
        """The marked ids under which the chat's messages are read: `telegram_ids` and the discussion group's."""
        return self.telegram_ids | ({self.discussion_id} if self.discussion_id is not None else set())

    @property
    def telegram_ids(self) -> set[int]:
        """The chat's current marked id, and its former one if it was a basic group."""
        return {telegram_id for telegram_id in (self.telegram_id, self.upgraded_from_id) if telegram_id is not None}

    def telegram_id_at(self, moment: datetime) -> int | None:
        """The marked id to which messages went at `moment` (a time of the database's clock)."""
        before = self.upgraded_at is not None and moment < self.upgraded_at
        return self.upgraded_from_id if before else self.telegram_id
