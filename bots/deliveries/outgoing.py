"""Marks a delivery as being sent, and collects everything that the worker needs to send it without the database."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Coalesce

from bots.gate.facts import BotOwner, needs_reply_lookup
from bots.models import Delivery
from campaigns.models import Chat
from telegram.types import ChatTarget, PersonTarget, Target

State = Delivery.State


@dataclass(frozen=True)
class ReplyLookup:
    """Identifies the message to reply to when the replying account numbers it differently from its author's account."""

    author_id: int
    text: str
    sent_at: datetime


@dataclass(frozen=True)
class Outgoing:
    """A claimed delivery, with everything that the worker needs to send it without the database."""

    id: UUID
    bot_id: UUID
    epoch: int
    chat_id: UUID | None
    target: Target
    destination_id: int | None
    text: str
    random_id: int
    reply_to: int | ReplyLookup | None
    attempts: int
    first_attempt_at: datetime


def mark_sending(delivery: Delivery, owner: BotOwner, *, first_attempt_at: datetime, **facts: object) -> Outgoing:
    """Mark the locked delivery as being sent by this owner."""
    Delivery.objects.filter(id=delivery.id).update(
        state=State.SENDING,
        attempts=F("attempts") + 1,
        first_attempt_at=Coalesce("first_attempt_at", first_attempt_at),
        lease_epoch=owner.epoch,
        waiting_reason="",
        waiting_until=None,
        **facts,
    )
    return outgoing(delivery, owner, first_attempt_at)


def outgoing(delivery: Delivery, owner: BotOwner, first_attempt_at: datetime) -> Outgoing:
    chat = delivery.chat
    # A message that may have been sent before a group became a supergroup is searched for in the former group.
    chat_telegram_id = None if chat is None else chat.telegram_id_at(first_attempt_at)
    target: Target = (
        PersonTarget(delivery.peer_id, delivery.peer_username, delivery.via_chat_id, delivery.via_message_id)
        if chat is None
        else ChatTarget(chat.reference, chat_telegram_id)
    )
    return Outgoing(
        id=delivery.id,
        bot_id=delivery.bot_id,
        epoch=owner.epoch,
        chat_id=delivery.chat_id,
        target=target,
        destination_id=delivery.peer_id if chat is None else chat_telegram_id,
        text=delivery.text,
        random_id=delivery.random_id,
        reply_to=_reply(delivery),
        attempts=delivery.attempts + 1,
        first_attempt_at=first_attempt_at,
    )


def _reply(delivery: Delivery) -> int | ReplyLookup | None:
    reply_to = delivery.reply_to
    if reply_to is None or _is_in_former_group(reply_to, delivery.chat):
        return None
    author_id = reply_to.bot.telegram_user_id
    if needs_reply_lookup(delivery) and author_id is not None and reply_to.sent_at is not None:
        return ReplyLookup(author_id, reply_to.text, reply_to.sent_at)
    return reply_to.telegram_message_id


def _is_in_former_group(reply_to: Delivery, chat: Chat | None) -> bool:
    """Whether the message was sent in the basic group that the chat was: a supergroup's messages cannot reply to it."""
    if chat is None or reply_to.first_attempt_at is None:
        return False
    return chat.telegram_id_at(reply_to.first_attempt_at) != chat.telegram_id
