"""Queues a text as a message of a conversation with its delivery, and cancels queued messages."""

from datetime import datetime
from uuid import UUID, uuid4

from bots.deliveries.queueing import deliveries_cancel, delivery_queue
from bots.models import Delivery
from campaigns.models import Purpose
from leads.models import Conversation, Message
from texts.telegram_form import as_kept

# The origin of this app's deliveries; their `origin_id` is a Message's id.
ORIGIN = "leads.message"
# Marked ids of supergroups and channels are below this. There a message has one id for all accounts. In a basic group
# each account has its own ids, so a manager cannot use the parser account's message id.
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
    """Queue a message in the present epoch; it is not sent if the epoch changes.

    The caller has locked the conversation.
    """
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
    """Cancel the AI's queued messages and return their number. The caller has locked the conversation."""
    queued = Message.objects.filter(
        conversation=conversation, author=Message.Author.AI, delivery__state=Delivery.State.QUEUED
    )
    return deliveries_cancel(origin=ORIGIN, origin_ids=list(queued.values_list("id", flat=True)), reason=reason)


def ai_messages_leaving(*, conversation: Conversation) -> int:
    """The number of the AI's messages that were already being sent when an operator took over."""
    return Message.objects.filter(
        conversation=conversation, author=Message.Author.AI, delivery__state=Delivery.State.SENDING
    ).count()
