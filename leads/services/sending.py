"""A text becomes a message of a conversation, with its delivery; what is queued is cancelled."""

from datetime import datetime
from uuid import UUID, uuid4

from bots.deliveries.queueing import deliveries_cancel, delivery_queue
from bots.models import Delivery
from campaigns.models import Purpose
from leads.models import Conversation, Message
from texts.telegram_form import as_kept

# The name that the deliveries of this room carry; their `origin_id` is a Message's id.
ORIGIN = "leads.message"
# Marked ids of supergroups and channels lie below this. There a message has one id for everybody; in a basic group
# each account counts for itself, so that the parser bot's id of a message says nothing to a manager.
_SUPERGROUPS_BELOW = -1_000_000_000_000

_PURPOSES = {Message.Author.AI: Purpose.REPLY, Message.Author.OPERATOR: Purpose.OPERATOR}


def message_send(
    *,
    conversation: Conversation,
    author: Message.Author,
    text: str,
    due_at: datetime,
    purpose: Purpose | None = None,
    parting: bool = False,
    message_id: UUID | None = None,
) -> Message:
    """The conversation is locked. The message belongs to its present epoch: when that moves on, it is not sent."""
    lead, text = conversation.lead, as_kept(text)
    message = Message.objects.create(
        id=message_id or uuid4(),
        conversation=conversation,
        author=author,
        text=text,
        epoch=conversation.epoch,
        parting=parting,
        at=due_at,
    )
    message.delivery = delivery_queue(
        bot_id=conversation.bot_id,
        campaign_id=lead.campaign_id,
        purpose=purpose or _PURPOSES[author],
        origin=ORIGIN,
        origin_id=message.id,
        text=text,
        due_at=due_at,
        peer_id=conversation.peer_id,
        peer_username=lead.username,
        via_chat_id=lead.chat_id,
        via_message_id=lead.message_id if lead.chat_id < _SUPERGROUPS_BELOW else None,
    )
    message.save(update_fields=["delivery"])
    return message


def ai_messages_cancel(*, conversation: Conversation, reason: str) -> int:
    """The conversation is locked. What the AI has queued there is cancelled."""
    queued = Message.objects.filter(
        conversation=conversation, author=Message.Author.AI, delivery__state=Delivery.State.QUEUED
    )
    return deliveries_cancel(origin=ORIGIN, origin_ids=list(queued.values_list("id", flat=True)), reason=reason)


def ai_messages_leaving(*, conversation: Conversation) -> int:
    """How many messages of the AI were on their way already when the conversation was taken from it."""
    return Message.objects.filter(
        conversation=conversation, author=Message.Author.AI, delivery__state=Delivery.State.SENDING
    ).count()
