"""The chats that parser bots read."""

from django.db import models

from bots.models import Bot
from campaigns.models import Campaign, Chat


class WatchedChat(models.Model):
    """A chat that a parser bot reads for a campaign.

    While an operator's move to `next_bot` is under way, both accounts read the chat. `handover_at` is set once the next
    account is in the chat: messages sent until then count for `bot`, later ones for `next_bot`. Telegram's time of a
    message is the same in all accounts, so each message counts for exactly one of them. When `bot` has read all its
    messages, `next_bot` takes its place, and `handover_at` becomes `read_since`.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="watched_chats")
    chat = models.ForeignKey(Chat, on_delete=models.PROTECT, related_name="watched_by")
    bot = models.ForeignKey(
        Bot,
        on_delete=models.PROTECT,
        related_name="watches",
        verbose_name="account",
        help_text="Leave empty to use the parser account that watches the fewest chats.",
    )
    next_bot = models.ForeignKey(
        Bot, on_delete=models.PROTECT, null=True, blank=True, related_name="next_watches", verbose_name="moves to"
    )
    handover_at = models.DateTimeField(
        null=True, blank=True, help_text="Messages sent later count for the next account"
    )
    read_since = models.DateTimeField(
        null=True, blank=True, help_text="Messages sent until then counted for an earlier account"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "chat"],
                name="one_watch_per_campaign_and_chat",
                violation_error_message="This chat is already watched for the campaign.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chat} for {self.campaign}"
