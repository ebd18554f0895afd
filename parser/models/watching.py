"""The chats that parser bots read."""

from django.db import models

from bots.models import Bot
from campaigns.models import Campaign, Chat


class WatchedChat(models.Model):
    """A chat that a parser bot reads for a campaign."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="watched_chats")
    chat = models.ForeignKey(Chat, on_delete=models.PROTECT, related_name="watched_by")
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="watches", verbose_name="account")

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
