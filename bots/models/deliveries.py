"""The ledger: every outgoing message and its result."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import MD5, Now, Upper

from bots.models.accounts import Bot
from campaigns.models import Campaign, Chat, Purpose


def _counted_in_utc() -> Func:
    """The expression for indexes of `counted_at` that cover the messages of all bots.

    PostgreSQL would use an index on the plain column for the messages of one bot too: the table's rows are in the order
    of time, so the planner underestimates the cost of reading all messages since a given time.
    """
    return Func(F("counted_at"), template="(%(expressions)s AT TIME ZONE 'UTC')")


class Delivery(models.Model):
    """One outgoing message, from the request to send it to the id that Telegram gave it.

    These rows are the ledger: a message is sent only after its row is stored. The message goes to `chat`, or to the
    person `peer_id` / `peer_username`. The bot may reach a person through their message `via_message_id` in a chat that
    both share, `via_chat_id`.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        SENDING = "sending"
        SENT = "sent"
        FAILED = "failed"
        REFUSED = "refused"
        CANCELLED = "cancelled"
        UNKNOWN = "unknown", "Unknown: an operator must decide whether the message was sent"

    FINAL = (State.SENT, State.FAILED, State.REFUSED, State.CANCELLED, State.UNKNOWN)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="deliveries", verbose_name="account")
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="deliveries")
    chat = models.ForeignKey(Chat, on_delete=models.PROTECT, null=True, blank=True, related_name="deliveries")
    peer_id = models.BigIntegerField("person's Telegram id", null=True, blank=True)
    peer_username = models.CharField("person's username", max_length=64, blank=True, default="")
    via_chat_id = models.BigIntegerField(
        "shared chat", null=True, blank=True, help_text="Marked id of the chat in which the account can see the person"
    )
    via_message_id = models.BigIntegerField(
        "message in the shared chat", null=True, blank=True, help_text="Id of the person's message in the shared chat"
    )
    text = models.TextField()
    reply_to = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="replies")
    purpose = models.CharField(max_length=16, choices=Purpose)
    origin = models.CharField(
        max_length=40,
        help_text="scripts.step for a line of a play, leads.message for a message of a conversation",
    )
    origin_id = models.UUIDField()
    random_id = models.BigIntegerField(unique=True, help_text="Telegram's idempotency key")

    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    due_at = models.DateTimeField(help_text="The message is not sent before this time")
    waiting_reason = models.CharField(max_length=300, blank=True, default="")
    waiting_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    first_attempt_at = models.DateTimeField(null=True, blank=True)
    lease_epoch = models.BigIntegerField(
        null=True, blank=True, help_text="The account's lease epoch when the delivery was last claimed"
    )
    counted_at = models.DateTimeField(
        null=True, blank=True, help_text="When the message was counted against the budgets"
    )
    opens_contact = models.BooleanField(
        default=False,
        db_default=False,
        help_text="The message is the account's first to this person and not a reply: it counts as a new contact",
    )
    telegram_message_id = models.BigIntegerField(
        "Telegram's message id", null=True, blank=True, help_text="The message's id in the sending account"
    )
    sent_at = models.DateTimeField(null=True, blank=True)
    error_kind = models.CharField("kind of error", max_length=20, blank=True, default="")
    error = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    # What happened to the message in the chat after it was sent.
    edited_at = models.DateTimeField(null=True, blank=True)
    edited_text = models.TextField(blank=True, default="", db_default="", help_text="The current text")
    deleted_at = models.DateTimeField(null=True, blank=True, help_text="When an account noticed the deletion")
    reactions = models.CharField(max_length=200, blank=True, default="", db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["origin", "origin_id"], name="one_delivery_per_origin"),
            models.CheckConstraint(condition=~Q(random_id=0), name="random_id_not_zero"),
            models.CheckConstraint(
                condition=Q(chat__isnull=False, peer_id__isnull=True, peer_username="")
                | (Q(chat__isnull=True) & (Q(peer_id__isnull=False) | ~Q(peer_username=""))),
                name="delivery_goes_to_a_chat_or_a_person",
            ),
            models.CheckConstraint(
                # An operator who resolves an unknown delivery as sent need not know the id that Telegram gave it.
                condition=~Q(state="sent")
                | Q(sent_at__isnull=False) & (Q(telegram_message_id__isnull=False) | Q(error_kind="resolved")),
                name="sent_has_telegrams_id",
            ),
        ]
        indexes = [
            models.Index(fields=["bot", "due_at"], name="deliveries_due", condition=Q(state="queued")),
            models.Index(fields=["bot"], name="deliveries_leaving", condition=Q(state="sending")),
            # For jobs that read all queued deliveries in portions.
            models.Index(fields=["id"], name="deliveries_queued", condition=Q(state="queued")),
            models.Index(fields=["created_at"], name="deliveries_unknown", condition=Q(state="unknown")),
            models.Index(fields=["-created_at"], name="deliveries_newest"),
            # The purpose is included so that PostgreSQL reads a budget's window from the index alone.
            models.Index(fields=["bot", "counted_at"], include=["purpose"], name="counted_by_bot"),
            models.Index(fields=["campaign", "counted_at"], include=["purpose"], name="counted_by_campaign"),
            models.Index(fields=["chat", "counted_at"], include=["purpose"], name="counted_by_chat"),
            models.Index(fields=["peer_id", "counted_at"], include=["purpose", "bot"], name="counted_by_peer"),
            models.Index(_counted_in_utc(), include=["counted_at", "purpose"], name="counted"),
            models.Index(Upper("peer_username"), "counted_at", name="counted_by_username"),
            models.Index(
                fields=["bot", "counted_at"],
                include=["purpose"],
                name="contacts_by_bot",
                condition=Q(opens_contact=True),
            ),
            models.Index(
                fields=["campaign", "counted_at"],
                include=["purpose"],
                name="contacts_by_campaign",
                condition=Q(opens_contact=True),
            ),
            models.Index(
                _counted_in_utc(),
                include=["counted_at", "purpose"],
                name="contacts",
                condition=Q(opens_contact=True),
            ),
            models.Index(
                Upper("peer_username"),
                "counted_at",
                name="counted_by_name_only",
                condition=Q(peer_id__isnull=True) & ~Q(peer_username=""),
            ),
            models.Index("peer_id", Upper("peer_username"), name="names_of_peer", condition=~Q(peer_username="")),
            models.Index(
                fields=["telegram_message_id", "chat"],
                name="deliveries_by_message",
                condition=Q(telegram_message_id__isnull=False),
            ),
        ]
        verbose_name_plural = "deliveries"

    def __str__(self) -> str:
        """Reads the bot and the chat: lists should load them with `select_related`."""
        return f"{self.get_purpose_display()} by {self.bot} to {self.destination}"

    @property
    def destination(self) -> str:
        """The name of the chat, or the person's @username or Telegram id."""
        if self.chat is not None:
            return str(self.chat)
        return f"@{self.peer_username}" if self.peer_username else str(self.peer_id)


class DeliveryEvent(models.Model):
    """Something that happened to a delivery, for the history on the delivery's page.

    An event of the same kind and detail adds no row: it raises `times` and sets `last_at`. So the number of rows is
    limited by the number of different events, however often a delivery waits. The history does not repeat the
    delivery's own columns: a delivery that is sent at the first attempt has no events.
    """

    class Kind(models.TextChoices):
        WAITED = "waited", "Waited"
        UNANSWERED = "unanswered", "No answer"
        REPEATED = "repeated", "Sent again with the same key"
        LOOKED_UP = "looked_up", "Searched for in the chat"
        PUT_BACK = "put_back", "Not sent, queued again"
        SENT = "sent"
        FAILED = "failed"
        REFUSED = "refused"
        CANCELLED = "cancelled"
        UNKNOWN = "unknown", "Unknown whether it was sent"
        EDITED = "edited", "Edited in the chat"
        REACTED = "reacted", "Reactions"
        DELETED = "deleted", "Deleted in the chat"

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="events", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind)
    detail = models.TextField(blank=True, default="")
    at = models.DateTimeField("first at")
    last_at = models.DateTimeField()
    times = models.PositiveIntegerField(default=1)

    class Meta:
        verbose_name = "delivery event"
        constraints = [models.UniqueConstraint("delivery", "kind", MD5("detail"), name="one_event_per_fact")]

    def __str__(self) -> str:
        return self.get_kind_display()


class MassCancellation(models.Model):
    """Deliveries that are cancelled one after the other in the background. `what` describes the selection.

    The first `position` deliveries of `delivery_ids` have been processed; `cancelled` of them were still queued and
    could be cancelled.
    """

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        STOPPED = "stopped"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(db_default=Now())
    by = models.CharField("started by", max_length=150)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    what = models.TextField("selection")
    delivery_ids = ArrayField(models.UUIDField(), editable=False)
    total = models.PositiveIntegerField("selected")
    position = models.PositiveIntegerField(default=0)
    cancelled = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=8, choices=State, default=State.RUNNING)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "cancellation"
        indexes = [models.Index(fields=["created_at"], name="cancellations_running", condition=Q(state="running"))]

    def __str__(self) -> str:
        return f"cancellation {self.id.hex[:8]}"

    @property
    def reason(self) -> str:
        """The reason that is stored on the cancelled deliveries. It is unique to this cancellation.

        Workers find the deliveries by it, also workers of another version during an upgrade: do not reword it.
        """
        return f"cancelled by {self.by}, with others ({self})"
