"""The chats that parser bots read."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from bots.models import Bot
from campaigns.models import Campaign, Chat
from parser.eligibility import ReadOutcome, TopicsRule, topic_taken


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

    topics_rule = models.CharField(
        "topics that are read",
        max_length=6,
        choices=TopicsRule,
        default=TopicsRule.ALL,
        db_default=TopicsRule.ALL,
        help_text="For forums: which topics are compared with the keywords",
    )
    topics = ArrayField(
        models.BigIntegerField(),
        default=list,
        db_default=[],
        blank=True,
        help_text="The ids of the topics for the rule above, separated by commas. The topic General has the id 1.",
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

    def is_of_discussion(self, peer_id: int) -> bool:
        """Whether this marked id is the channel's discussion group, of which only the comments are read."""
        return peer_id == self.chat.discussion_id and peer_id not in self.chat.telegram_ids

    def takes(self, topic_id: int | None) -> bool:
        """Whether messages in this topic are compared; None is the topic General, or a chat without topics."""
        return topic_taken(TopicsRule(self.topics_rule), self.topics, topic_id)


class ReadTally(models.Model):
    """How many messages an account read in a chat on a day, by what became of them.

    The days are those of the messages' times, in UTC. Rows are deleted after `messaging.retention.TALLY_DAYS`.
    """

    bot = models.ForeignKey(Bot, on_delete=models.CASCADE, related_name="tallies", verbose_name="account")
    peer_id = models.BigIntegerField("Telegram chat id", help_text="The chat's marked id")
    day = models.DateField(help_text="The day on which the messages were sent, in UTC")
    outcome = models.CharField(max_length=20, choices=ReadOutcome)
    number = models.BigIntegerField("messages", help_text="An album counts as one message")

    class Meta:
        verbose_name = "count of messages"
        verbose_name_plural = "counts of messages"
        constraints = [
            models.UniqueConstraint(fields=["bot", "peer_id", "day", "outcome"], name="one_tally_per_outcome"),
        ]
        indexes = [models.Index(fields=["-day"], name="tallies_newest")]

    def __str__(self) -> str:
        return f"{self.number} on {self.day}: {self.get_outcome_display()}"


class DiscussionPost(models.Model):
    """A channel's post that Telegram has forwarded to the channel's discussion group. Comments are replies to it."""

    peer_id = models.BigIntegerField("discussion group", help_text="The group's marked id")
    message_id = models.BigIntegerField("post", help_text="The number of the forwarded post in the group")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "post with comments"
        verbose_name_plural = "posts with comments"
        constraints = [models.UniqueConstraint(fields=["peer_id", "message_id"], name="one_row_per_post")]
        indexes = [models.Index(fields=["-created_at"], name="posts_newest")]

    def __str__(self) -> str:
        return f"post {self.message_id} in {self.peer_id}"
