"""Finds out who sent a message of the account: CoolThing, or a team member from the phone."""

import logging
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F, Max, Min, Q, QuerySet

from bots.gate.recipients import addressed_as
from bots.models import Delivery
from bots.selectors import bot_name
from leads.locks import conversation_lock_if_there
from leads.models import Conversation, Lead, Message, UnclaimedMessage
from leads.services.ownership import Owner, lead_resume, owner_move
from messaging.database.errors import DATABASE_ERRORS
from messaging.database.locks import rows_lock
from messaging.events import ServiceErrorEvent
from messaging.publishing.outbox import publish_on_commit
from messaging.rounds import backoff, for_each
from telegram.types import IncomingMessage
from texts.telegram_form import same_text

PHONE_REASON = "A team member wrote from the phone."
# The most unexpected errors in a row for a conversation, and the longest wait between two attempts (seconds).
MOST_ATTEMPTS, MOST_SECONDS = 8, 600.0

log = logging.getLogger(__name__)


def outgoing_note(*, conversation: Conversation, message: IncomingMessage) -> None:
    """Record an outgoing message, unless it is older than the conversation. The caller has locked the conversation."""
    if message.sent_at < conversation.created_at.replace(microsecond=0):
        return
    UnclaimedMessage.objects.get_or_create(
        conversation=conversation,
        telegram_message_id=message.message_id,
        defaults={"text": message.text, "said_at": message.sent_at, "grouped_id": message.grouped_id},
    )
    outgoing_judge(conversation=conversation)


def outgoing_judge(*, conversation: Conversation) -> None:
    """Decide about the messages that may not be CoolThing's, if this is possible now.

    The caller has locked the conversation. While one of our messages is `sending`, its id is not known yet, and an
    unknown message may be that message.
    """
    unclaimed = list(UnclaimedMessage.objects.filter(conversation=conversation).order_by("telegram_message_id"))
    if not unclaimed or _to_person(conversation).filter(state=Delivery.State.SENDING).exists():
        return
    # Read after the check, because a message that was `sending` a moment ago has its id now.
    for message in unclaimed:
        # Delete the row first: a takeover cancels queued messages, which settles them and calls this function again.
        mine, _ = UnclaimedMessage.objects.filter(id=message.id).delete()
        if mine and not _is_ours(conversation, message):
            _taken_over(conversation, message)


def unclaimed_judge_due(*, now: datetime, limit: int = 100) -> int:
    """Judge the remaining messages, beginning with those tried longest ago. Returns the number of conversations tried.

    After an unexpected error a conversation waits longer each time, and after MOST_ATTEMPTS an operator gets it.
    """
    due = UnclaimedMessage.objects.filter(Q(retry_at=None) | Q(retry_at__lte=now), given_up_at=None)
    waiting = due.values("conversation_id").annotate(tried=Min("tried_at"))
    oldest = waiting.order_by(F("tried").asc(nulls_first=True), "conversation_id")
    ids = list(oldest.values_list("conversation_id", flat=True)[:limit])
    return len(for_each(ids, lambda conversation_id: _judge_again(conversation_id, now), what="conversation"))


def _judge_again(conversation_id: UUID, now: datetime) -> None:
    # Count the attempt first, so that it counts however it ends.
    attempt = _note(conversation_id, tried_at=now, attempts=F("attempts") + 1)
    try:
        if attempt > MOST_ATTEMPTS:
            _give_up(conversation_id, "the last attempts ended without a result", now)
        else:
            _judge_left_over(conversation_id)
    except DATABASE_ERRORS:
        raise
    except Exception as problem:
        kind = type(problem).__name__
        log.exception("conversation %s: could not find out who sent a message of the account", conversation_id)
        wait = backoff(attempt, first=2.0, most=MOST_SECONDS)
        _note(conversation_id, error=f"unexpected {kind}", retry_at=now + wait)
        if attempt >= MOST_ATTEMPTS:
            _give_up(conversation_id, f"unexpected {kind}", now)


@transaction.atomic
def _judge_left_over(conversation_id: UUID) -> None:
    if (conversation := conversation_lock_if_there(conversation_id)) is not None:
        outgoing_judge(conversation=conversation)
        _note(conversation_id, attempts=0, retry_at=None, error="")


@transaction.atomic
def _note(conversation_id: UUID, **facts: object) -> int:
    """Update the remaining messages of a conversation. Returns how often they were tried."""
    rows = UnclaimedMessage.objects.filter(conversation_id=conversation_id, given_up_at=None)
    UnclaimedMessage.objects.filter(id__in=rows_lock(rows)).update(**facts)
    return rows.aggregate(most=Max("attempts"))["most"] or 0


def _give_up(conversation_id: UUID, error: str, now: datetime) -> None:
    """Make an operator the owner, and notify the team once.

    The messages remain recorded: the next time a message of ours settles, they are judged again.
    """
    with transaction.atomic():
        _note(conversation_id, given_up_at=now, error=error[:300])
        log.error("conversation %s: could not find out who sent a message of the account: %s", conversation_id, error)
        publish_on_commit(ServiceErrorEvent(service="manager", reason=_event_reason(conversation_id, error)))
    with transaction.atomic():
        conversation = conversation_lock_if_there(conversation_id)
        if conversation is not None and conversation.owner != Owner.HUMAN and not _opted_out(conversation):
            reason = (
                f"Look at the chat in Telegram: CoolThing could not find out who sent the latest message ({error})."
            )
            owner_move(conversation=conversation, owner=Owner.HUMAN, reason=reason)


def _event_reason(conversation_id: UUID, error: str) -> str:
    """The event's text, without the person's name: events are also stored in places that erasing does not reach."""
    names = Conversation.objects.filter(id=conversation_id).values_list("bot_id", "lead__campaign__name").first()
    where = f" of {bot_name(names[0])} in campaign “{names[1]}”" if names else ""
    return (
        f"could not find out who sent the latest message of a conversation{where} ({error}): look at the chat in "
        "Telegram, then answer or hand the conversation back"
    )


def _opted_out(conversation: Conversation) -> bool:
    return conversation.lead.state == Lead.State.OPTED_OUT


def _to_person(conversation: Conversation) -> QuerySet[Delivery]:
    lead = conversation.lead
    who = Q(peer_id=conversation.peer_id) if conversation.peer_id is not None else Q(pk__in=[])
    if lead.username:
        who |= addressed_as(lead.username) & Q(peer_id=None)
    return Delivery.objects.filter(who, bot_id=conversation.bot_id, chat=None)


def _is_ours(conversation: Conversation, message: UnclaimedMessage) -> bool:
    """Whether the message is CoolThing's: by its id, or by its text if one of our messages may have been sent."""
    to_person = _to_person(conversation)
    if to_person.filter(state=Delivery.State.SENT, telegram_message_id=message.telegram_message_id).exists():
        return True
    maybe_sent = to_person.filter(state=Delivery.State.UNKNOWN).values_list("text", flat=True)
    return any(same_text(text, message.text) for text in maybe_sent)


def _taken_over(conversation: Conversation, message: UnclaimedMessage) -> None:
    if not _opted_out(conversation) and conversation.owner != Owner.HUMAN:
        owner_move(conversation=conversation, owner=Owner.HUMAN, reason=PHONE_REASON)
    lead_resume(lead=conversation.lead)
    Message.objects.create(
        conversation=conversation,
        author=Message.Author.PHONE,
        text=message.text,
        telegram_message_id=message.telegram_message_id,
        grouped_id=message.grouped_id,
        epoch=conversation.epoch,
        at=message.said_at,
    )
