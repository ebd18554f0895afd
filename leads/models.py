"""Leads (people who were found by a campaign's keywords) and the conversations with them."""

import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Lower, Now

from bots.models import Bot, Delivery
from campaigns.models import Campaign


class CampaignManager(models.Model):
    """A manager bot to which a campaign assigns its leads."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="managers")
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="manages")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "bot"],
                name="one_manager_entry_per_bot",
                violation_error_message="This bot manages the campaign's leads already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.bot} for {self.campaign}"


class Lead(models.Model):
    """A person as a lead of one campaign. Further hits of the same person make no new lead."""

    class State(models.TextChoices):
        NEW = "new"
        AWAITING_APPROVAL = "awaiting_approval", "Awaits an operator's approval"
        CONTACTING = "contacting", "First contact on the way"
        TALKING = "talking"
        CLOSED = "closed"
        OPTED_OUT = "opted_out", "Opted out"
        FAILED = "failed", "Could not be reached"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="leads")
    telegram_user_id = models.BigIntegerField(null=True, blank=True)
    username = models.CharField(max_length=64, blank=True, default="", help_text="Without @")
    state = models.CharField(max_length=20, choices=State, default=State.NEW)
    state_reason = models.CharField(max_length=300, blank=True, default="")
    message = models.TextField(help_text="What they said that matched")
    chat_id = models.BigIntegerField(help_text="Where they said it, marked id")
    message_id = models.BigIntegerField(null=True, blank=True, help_text="As the parser bot sees it")
    worker_id = models.CharField(max_length=64, help_text="The parser bot that heard it")
    event_id = models.UUIDField(unique=True, help_text="The NewTargetMessage that made the lead")
    hit_at = models.DateTimeField(help_text="When they said it: the event's said_at, else its created_at")
    same_as = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="duplicates",
        help_text="Turned out to be the same person as this lead, which goes on alone",
    )
    approved_at = models.DateTimeField(null=True, blank=True, help_text="When an operator allowed the first contact")
    approved_by = models.CharField(max_length=150, blank=True, default="")
    tried_at = models.DateTimeField(null=True, blank=True, help_text="When a contact was last tried again")
    attempts = models.IntegerField(default=0, help_text="That failed in a row, in a way that nobody foresaw")
    retry_at = models.DateTimeField(null=True, blank=True, help_text="After such a failure: not tried again before")
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
        HUMAN = "human"
        NONE = "none", "Nobody: ended"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    lead = models.OneToOneField(Lead, on_delete=models.CASCADE, related_name="conversation")
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="conversations")
    owner = models.CharField(max_length=6, choices=Owner, default=Owner.AI)
    owner_reason = models.CharField(max_length=300, blank=True, default="")
    epoch = models.BigIntegerField(default=0)
    peer_id = models.BigIntegerField(null=True, blank=True, help_text="The lead's Telegram id, once known")
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
            # The overview shows the latest of these conversations, which are few among all.
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
    """One message of a conversation.

    Messages that CoolThing sends have a delivery, which also records their edits and deletions in the chat. Messages of
    the lead, and those that a team member writes from the phone, have none; their edits and deletions are recorded
    here.
    """

    class Author(models.TextChoices):
        LEAD = "lead"
        AI = "ai", "AI"
        OPERATOR = "operator", "Operator, from the panel"
        PHONE = "phone", "A person, from the phone"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    author = models.CharField(max_length=10, choices=Author)
    text = models.TextField(help_text="As it reads now")
    original_text = models.TextField(blank=True, default="", help_text="The first text, if it was edited since")
    edited_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True, help_text="When it was found to be gone from the chat")
    telegram_message_id = models.BigIntegerField(null=True, blank=True, help_text="As the manager bot sees it")
    grouped_id = models.BigIntegerField(null=True, blank=True, help_text="The album that it belongs to")
    follows_message_id = models.BigIntegerField(
        null=True, blank=True, help_text="Of one that was not sent after all: the number at Telegram of what it answers"
    )
    delivery = models.OneToOneField(Delivery, on_delete=models.PROTECT, null=True, blank=True, related_name="message")
    epoch = models.BigIntegerField(
        default=0, help_text="The lead's: the epoch that it began. Ours: the epoch that it answers"
    )
    parting = models.BooleanField(
        default=False, help_text="The AI's last word, said although the conversation is no longer the AI's"
    )
    at = models.DateTimeField(db_default=Now())

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
            # Telegram's updates about edits and deletions name a message only by the account's number of it.
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

    It may be that delivery's message or a team member's from the phone. This is decided as soon as no delivery to the
    person is in the state `sending`.
    """

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="unclaimed")
    telegram_message_id = models.BigIntegerField()
    grouped_id = models.BigIntegerField(null=True, blank=True)
    text = models.TextField()
    said_at = models.DateTimeField()
    tried_at = models.DateTimeField(null=True, blank=True, help_text="When it was last looked at again")
    attempts = models.IntegerField(default=0, help_text="That failed in a row, in a way that nobody foresaw")
    retry_at = models.DateTimeField(null=True, blank=True, help_text="After such a failure: not tried again before")
    error = models.CharField(max_length=300, blank=True, default="")
    given_up_at = models.DateTimeField(null=True, blank=True, help_text="When an operator got the conversation instead")
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
    """A request to the LLM for an answer to everything that the lead wrote up to `epoch`.

    `dispatched_at` is when a task for the job was last sent. Until `claimed_until` one task works on the job alone.
    """

    class State(models.TextChoices):
        DUE = "due"
        DONE = "done"
        STALE = "stale", "Stale: the conversation moved on"
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
