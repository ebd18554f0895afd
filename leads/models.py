"""Leads (people whom a campaign's keywords have found) and the conversations with them."""

import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Lower, Now

from bots.models import Bot, Delivery
from campaigns.models import Campaign


class CampaignManager(models.Model):
    """A manager bot that gets leads of a campaign."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="managers")
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="manages", verbose_name="account")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "bot"],
                name="one_manager_entry_per_bot",
                violation_error_message="This account is already a manager of the campaign.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.bot} for {self.campaign}"


class Lead(models.Model):
    """A person as a lead of one campaign. A campaign has only one lead per person, however many hits there are."""

    class State(models.TextChoices):
        NEW = "new"
        AWAITING_APPROVAL = "awaiting_approval", "Awaiting approval"
        CONTACTING = "contacting", "First contact queued"
        TALKING = "talking", "In conversation"
        CLOSED = "closed"
        OPTED_OUT = "opted_out", "Opted out"
        FAILED = "failed", "Not reachable"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="leads")
    telegram_user_id = models.BigIntegerField(null=True, blank=True)
    username = models.CharField(max_length=64, blank=True, default="", help_text="Without @")
    state = models.CharField(max_length=20, choices=State, default=State.NEW)
    state_reason = models.CharField(max_length=300, blank=True, default="")
    message = models.TextField(help_text="The text of the person's message that matched a keyword")
    chat_id = models.BigIntegerField(help_text="The marked id of the chat in which the person wrote the message")
    message_id = models.BigIntegerField(
        null=True, blank=True, help_text="The message's number in Telegram, as the parser account that read it sees it"
    )
    worker_id = models.CharField(
        max_length=64, verbose_name="parser account", help_text="The id of the parser account that read the message"
    )
    event_id = models.UUIDField(unique=True, help_text="The id of the event NewTargetMessage that created the lead")
    hit_at = models.DateTimeField(
        help_text="When the person wrote the message: said_at of the event or, if the event has none, its created_at"
    )
    same_as = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="duplicates",
        help_text="Another lead of the same person. This lead is closed, and the other lead continues.",
    )
    approved_at = models.DateTimeField(null=True, blank=True, help_text="When an operator approved the first contact")
    approved_by = models.CharField(max_length=150, blank=True, default="")
    tried_at = models.DateTimeField(
        null=True, blank=True, verbose_name="last attempt at", help_text="When CoolThing last tried to contact the lead"
    )
    attempts = models.IntegerField(
        default=0,
        verbose_name="failed attempts",
        help_text="The number of attempts in a row that ended with an unexpected error",
    )
    retry_at = models.DateTimeField(
        null=True,
        blank=True,
        verbose_name="next attempt at",
        help_text="The earliest time of the next attempt after an unexpected error",
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "telegram_user_id"],
                condition=Q(telegram_user_id__isnull=False),
                name="one_lead_per_campaign_and_person",
            ),
            models.UniqueConstraint(
                "campaign",
                Lower("username"),
                condition=~Q(username=""),
                name="one_lead_per_campaign_and_username",
            ),
            models.CheckConstraint(
                condition=Q(telegram_user_id__isnull=False) | ~Q(username=""), name="lead_names_somebody"
            ),
        ]
        indexes = [
            models.Index(fields=["telegram_user_id"], name="leads_of_person"),
            models.Index(Lower("username"), name="leads_of_username"),
            models.Index(fields=["campaign", "state"], name="leads_by_state"),
            models.Index(fields=["-hit_at"], name="leads_newest"),
            models.Index(fields=["state", "-hit_at"], name="leads_newest_by_state"),
            models.Index(
                F("tried_at").asc(nulls_first=True), "created_at", name="leads_to_try", condition=Q(state="new")
            ),
        ]

    def __str__(self) -> str:
        return f"@{self.username}" if self.username else str(self.telegram_user_id)


class Conversation(models.Model):
    """A manager bot's direct chat with a lead.

    `epoch` grows with every incoming message, when a message without an answer is edited or deleted, and with every
    change of owner. The answer of an LLM job from an older epoch is dropped.
    """

    class Owner(models.TextChoices):
        AI = "ai", "AI"
        HUMAN = "human", "Operator"
        NONE = "none", "Nobody: ended"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    lead = models.OneToOneField(Lead, on_delete=models.CASCADE, related_name="conversation")
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="conversations", verbose_name="account")
    owner = models.CharField(max_length=6, choices=Owner, default=Owner.AI)
    owner_reason = models.CharField(max_length=300, blank=True, default="")
    epoch = models.BigIntegerField(default=0)
    peer_id = models.BigIntegerField(null=True, blank=True, help_text="The Telegram id of the lead, if it is known")
    last_incoming_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["bot", "peer_id"], name="conversation_of_peer"),
            models.Index(fields=["bot"], name="open_conversations", condition=~Q(owner="none")),
            # The order of the panel's list.
            models.Index(
                F("last_incoming_at").desc(nulls_last=True),
                F("created_at").desc(),
                F("id").desc(),
                name="conversations_latest",
            ),
            # For the overview, which shows the newest conversations that operators own. There are few of these.
            models.Index(
                F("last_incoming_at").desc(nulls_last=True),
                name="conversations_of_operators",
                condition=Q(owner="human"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.bot} with {self.lead}"


# The order of a conversation's messages, by Telegram's numbers as in the chat: Telegram's times are whole seconds and
# often equal for a question and its answer. Messages that are still to be sent have no number and come last.
_PLACE = Coalesce("telegram_message_id", "follows_message_id")
MESSAGES_IN_ORDER = (_PLACE.asc(nulls_last=True), F("telegram_message_id").asc(nulls_last=True), "at", "id")


class Message(models.Model):
    """A message of a conversation.

    A message that CoolThing sends has a delivery, which also records edits and deletion of the message in the chat. A
    message of the lead, or of a team member who writes from the phone, has no delivery; its edits and its deletion are
    recorded here.
    """

    class Author(models.TextChoices):
        LEAD = "lead"
        AI = "ai", "AI"
        OPERATOR = "operator", "Operator, from the panel"
        PHONE = "phone", "Team member, from the phone"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    author = models.CharField(max_length=10, choices=Author)
    text = models.TextField(help_text="The current text")
    original_text = models.TextField(blank=True, default="", help_text="The first text, if the message has been edited")
    edited_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(
        null=True, blank=True, help_text="When CoolThing noticed that the message was deleted"
    )
    telegram_message_id = models.BigIntegerField(
        null=True, blank=True, help_text="The message's number in Telegram, as the manager account sees it"
    )
    grouped_id = models.BigIntegerField(
        null=True,
        blank=True,
        verbose_name="album id",
        help_text="Telegram's id of the album, for a message of an album",
    )
    follows_message_id = models.BigIntegerField(
        null=True,
        blank=True,
        verbose_name="placed after",
        help_text="Only for a message that was not sent: it is shown below the message with this number in Telegram",
    )
    delivery = models.OneToOneField(Delivery, on_delete=models.PROTECT, null=True, blank=True, related_name="message")
    epoch = models.BigIntegerField(
        default=0,
        help_text="For a message of the lead, the epoch that began with it. For any other message, the epoch in which "
        "it was written",
    )
    parting = models.BooleanField(
        default=False,
        verbose_name="closing remark",
        help_text="A message that the AI sends when it ends the conversation or hands it over. It is sent although the "
        "AI no longer owns the conversation",
    )
    at = models.DateTimeField(db_default=Now(), verbose_name="time")

    class Meta:
        ordering = MESSAGES_IN_ORDER
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "telegram_message_id"],
                condition=Q(telegram_message_id__isnull=False),
                name="one_record_per_telegram_message",
            ),
        ]
        indexes = [
            # Telegram's updates about edits and deletions contain only the number that the message has for the account.
            models.Index(fields=["telegram_message_id"], name="messages_heard", condition=Q(delivery=None)),
            models.Index("conversation", _PLACE, "telegram_message_id", "at", "id", name="messages_in_order"),
            models.Index(fields=["conversation", "epoch"], name="messages_by_epoch"),
            models.Index(fields=["-at"], name="messages_newest"),
            # The messages that a bot checks for changes each time it has connected.
            models.Index(
                fields=["at"],
                name="messages_heard_lately",
                condition=Q(delivery=None, deleted_at=None, telegram_message_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.author}: {self.text[:60]}"


class UnclaimedMessage(models.Model):
    """An outgoing message that appeared in the chat while a delivery to the same person was being sent.

    Either CoolThing sent it for that delivery, or a team member sent it from the phone. CoolThing decides this as soon
    as no delivery to the person is in the state `sending`.
    """

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="unclaimed")
    telegram_message_id = models.BigIntegerField()
    grouped_id = models.BigIntegerField(null=True, blank=True)
    text = models.TextField()
    said_at = models.DateTimeField(verbose_name="sent at")
    tried_at = models.DateTimeField(
        null=True,
        blank=True,
        verbose_name="last attempt at",
        help_text="When CoolThing last tried to find out who sent the message",
    )
    attempts = models.IntegerField(
        default=0,
        verbose_name="failed attempts",
        help_text="The number of attempts in a row that ended with an unexpected error",
    )
    retry_at = models.DateTimeField(
        null=True,
        blank=True,
        verbose_name="next attempt at",
        help_text="The earliest time of the next attempt after an unexpected error",
    )
    error = models.CharField(max_length=300, blank=True, default="")
    given_up_at = models.DateTimeField(
        null=True, blank=True, help_text="When CoolThing stopped trying and made an operator the owner"
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["conversation", "telegram_message_id"], name="one_unclaimed_per_message"),
        ]
        indexes = [
            models.Index(fields=["-said_at"], name="unclaimed_newest"),
            models.Index(fields=["conversation"], name="unclaimed_open", condition=Q(given_up_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.conversation}: {self.telegram_message_id}"


class LlmJob(models.Model):
    """A request to the LLM for an answer to everything that the lead has written up to `epoch`.

    `dispatched_at` is when a task for the job was last sent. Until `claimed_until` no other task works on the job.
    """

    class State(models.TextChoices):
        DUE = "due"
        DONE = "done"
        STALE = "stale", "Stale: the conversation has changed"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="llm_jobs")
    epoch = models.BigIntegerField()
    state = models.CharField(max_length=6, choices=State, default=State.DUE)
    due_at = models.DateTimeField()
    dispatched_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    action = models.CharField(max_length=20, blank=True, default="")
    reason = models.CharField(max_length=300, blank=True, default="")
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "LLM job"
        constraints = [models.UniqueConstraint(fields=["conversation", "epoch"], name="one_job_per_epoch")]
        indexes = [
            models.Index(fields=["due_at"], name="llm_jobs_due", condition=Q(state="due")),
            models.Index(fields=["-created_at"], name="llm_jobs_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.conversation} #{self.epoch}: {self.state}"
