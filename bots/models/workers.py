"""The workers, open incidents, and the messages and chats that the workers' accounts have read."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from bots.models.accounts import Bot, Role
from campaigns.models import Chat


class Host(models.Model):
    """One running bots worker process: how many bots it can take, and when it last reported that it is alive."""

    name = models.CharField(max_length=120, primary_key=True)
    role = models.CharField(max_length=10, choices=Role)
    capacity = models.PositiveIntegerField(help_text="The maximum number of accounts that the worker runs at once")
    draining = models.BooleanField(
        default=False, help_text="The worker takes no more accounts and releases those that it has"
    )
    drain_requested = models.BooleanField(default=False, help_text="An operator asked this worker to drain")
    heartbeat_at = models.DateTimeField("last heartbeat", db_default=Now())

    class Meta:
        verbose_name = "worker"

    def __str__(self) -> str:
        return self.name


class Incident(models.Model):
    """An open incident. The row is deleted when the incident is over: if the problem returns, it is a new incident."""

    key = models.CharField(max_length=200, primary_key=True)
    reason = models.CharField(max_length=300)
    count = models.PositiveIntegerField("times noticed", default=1)
    since = models.DateTimeField("open since", db_default=Now())
    last_at = models.DateTimeField("last noticed at", db_default=Now())

    class Meta:
        db_table = "bots_trouble"

    def __str__(self) -> str:
        return self.reason


class ForumTopic(models.Model):
    """A topic of a forum, with the title that an account has last seen."""

    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="topics")
    topic_id = models.BigIntegerField("topic", help_text="The topic's id: the number of the message that began it")
    title = models.CharField(max_length=200)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "topic of a forum"
        verbose_name_plural = "topics of forums"
        constraints = [models.UniqueConstraint(fields=["chat", "topic_id"], name="one_title_per_topic")]

    def __str__(self) -> str:
        return self.title


class Cursor(models.Model):
    """The last message of a chat that a bot has recorded. Reading resumes after it."""

    bot = models.ForeignKey(Bot, on_delete=models.CASCADE, related_name="cursors", verbose_name="account")
    peer_id = models.BigIntegerField(
        "chat or person", help_text="Marked id of the chat, or the user's id for a direct chat"
    )
    last_message_id = models.BigIntegerField("last message read", default=0)
    gaps = models.BigIntegerField(default=0, help_text="How often Telegram's live updates left out messages")
    gap_messages = models.BigIntegerField(
        "messages in gaps",
        default=0,
        help_text="How many messages the updates left out; the account read them from the history",
    )
    started_at = models.DateTimeField("read since", db_default=Now())
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "reading position"
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
    """A chat that the account was in at the last check. If the account is missing at a later check, it was removed."""

    bot = models.ForeignKey(Bot, on_delete=models.CASCADE, related_name="presences", verbose_name="account")
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="presences")
    peer_id = models.BigIntegerField("Telegram chat id", help_text="Marked id")
    since = models.DateTimeField("member since", db_default=Now())

    class Meta:
        verbose_name = "chat membership"
        constraints = [models.UniqueConstraint(fields=["bot", "chat"], name="one_presence_per_chat")]

    def __str__(self) -> str:
        return f"{self.bot} in {self.chat}"


class JoinRequest(models.Model):
    """The latest request of an account to join a chat. The limits of joins an hour and a day count these rows."""

    bot = models.ForeignKey(Bot, on_delete=models.CASCADE, related_name="join_requests", verbose_name="account")
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="join_requests")
    at = models.DateTimeField("requested at", db_default=Now())

    class Meta:
        verbose_name = "request to join"
        verbose_name_plural = "requests to join"
        constraints = [models.UniqueConstraint(fields=["bot", "chat"], name="one_join_request_per_chat")]
        indexes = [
            models.Index(fields=["bot", "at"], name="join_requests_of_bot"),
            models.Index(fields=["-at"], name="join_requests_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.bot} to {self.chat}"
