"""Messages that left the account: ours, or a person's who took the phone in hand."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F, Min, Q, QuerySet

from bots.models import Delivery
from leads.locks import conversation_lock_if_there
from leads.models import Conversation, Lead, Message, UnclaimedMessage
from leads.services.ownership import Owner, lead_move, owner_move
from messaging.locks import rows_lock
from messaging.rounds import for_each
from telegram.texts import same_text
from telegram.types import IncomingMessage

PHONE_REASON = "A person wrote from the phone."


def outgoing_note(*, conversation: Conversation, message: IncomingMessage) -> None:
    """The conversation is locked. What was said before it began concerns nobody here."""
    if message.said_at < conversation.created_at.replace(microsecond=0):
        return
    UnclaimedMessage.objects.get_or_create(
        conversation=conversation,
        telegram_message_id=message.message_id,
        defaults={"text": message.text, "said_at": message.said_at, "grouped_id": message.grouped_id},
    )
    outgoing_judge(conversation=conversation)


def outgoing_judge(*, conversation: Conversation) -> None:
    """Decide about the messages that are not known to be ours, if it can be decided now. The conversation is locked.

    While one of our messages is `sending` its id is not known yet, and an unknown message may be that one.
    """
    unclaimed = list(UnclaimedMessage.objects.filter(conversation=conversation).order_by("telegram_message_id"))
    if not unclaimed or _to_person(conversation).filter(state=Delivery.State.SENDING).exists():
        return
    # Read only now: what was `sending` a moment ago has its id by now.
    for message in unclaimed:
        # First, and once: a takeover cancels what is queued, which settles it, which comes here again.
        mine, _ = UnclaimedMessage.objects.filter(id=message.id).delete()
        if mine and not _is_ours(conversation, message):
            _taken_over(conversation, message)


def unclaimed_judge_due(*, now: datetime, limit: int = 100) -> int:
    """Judge what is left over, where it was tried longest ago first; returns in how many conversations it tried."""
    waiting = UnclaimedMessage.objects.values("conversation_id").annotate(tried=Min("tried_at"))
    oldest = waiting.order_by(F("tried").asc(nulls_first=True), "conversation_id")
    ids = list(oldest.values_list("conversation_id", flat=True)[:limit])
    with transaction.atomic():
        tried = rows_lock(UnclaimedMessage.objects.filter(conversation_id__in=ids))
        UnclaimedMessage.objects.filter(id__in=tried).update(tried_at=now)
    return len(for_each(ids, _judge_again, what="conversation"))


@transaction.atomic
def _judge_again(conversation_id: UUID) -> None:
    if (conversation := conversation_lock_if_there(conversation_id)) is not None:
        outgoing_judge(conversation=conversation)


def _to_person(conversation: Conversation) -> QuerySet[Delivery]:
    lead = conversation.lead
    who = Q(peer_id=conversation.peer_id) if conversation.peer_id is not None else Q(pk__in=[])
    if lead.username:
        who |= Q(peer_id=None, peer_username__iexact=lead.username)
    return Delivery.objects.filter(who, bot_id=conversation.bot_id, chat=None)


def _is_ours(conversation: Conversation, message: UnclaimedMessage) -> bool:
    """By its id; or by its text, where it is not known whether our message with that text was said."""
    to_person = _to_person(conversation)
    if to_person.filter(state=Delivery.State.SENT, telegram_message_id=message.telegram_message_id).exists():
        return True
    maybe_sent = to_person.filter(state=Delivery.State.UNKNOWN).values_list("text", flat=True)
    return any(same_text(text, message.text) for text in maybe_sent)


def _taken_over(conversation: Conversation, message: UnclaimedMessage) -> None:
    lead = conversation.lead
    if lead.state != Lead.State.OPTED_OUT and conversation.owner != Owner.HUMAN:
        owner_move(conversation=conversation, owner=Owner.HUMAN, reason=PHONE_REASON)
    if lead.state in (Lead.State.CONTACTING, Lead.State.CLOSED, Lead.State.FAILED):
        lead_move(lead=lead, state=Lead.State.TALKING)
    Message.objects.create(
        conversation=conversation,
        author=Message.Author.PHONE,
        text=message.text,
        telegram_message_id=message.telegram_message_id,
        grouped_id=message.grouped_id,
        epoch=conversation.epoch,
        at=message.said_at,
    )
