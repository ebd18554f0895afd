"""Edits and deletions of what others wrote in a conversation. The record keeps the first text and what was deleted."""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from bots.models import Delivery
from campaigns.models import Purpose, Suppression
from leads.locks import conversation_lock_if_there
from leads.models import Conversation, LlmJob, Message
from leads.selectors import Person, heard
from leads.services.jobs import job_queue, jobs_drop
from leads.services.optout import opt_out
from leads.services.recording import stop_hear
from leads.stop_words import says_stop
from messaging.database.clock import database_clock
from telegram.types import MessageNow

_State = Delivery.State
# A delivery in one of these has reached the lead, or may have.
_LEFT = (_State.SENDING, _State.SENT, _State.UNKNOWN)


def messages_changed(*, bot_id: UUID, changes: Sequence[MessageNow]) -> list[MessageNow]:
    """Keep what became of messages of the bot's conversations, one transaction each, and do what follows from it.

    Returns the changes of other messages; of these only a lead's stop is heard. What is known already changes nothing.
    """
    known = {
        message.telegram_message_id: message
        for message in heard(bot_id=bot_id)
        .filter(telegram_message_id__in=[change.message_id for change in changes])
        .order_by("at")
    }
    for change in changes:
        message = known.get(change.message_id)
        if message is None:
            stop_hear(change)
        elif _is_news(message, change):
            _change(message, change)
    return [change for change in changes if change.message_id not in known]


def _is_news(message: Message, change: MessageNow) -> bool:
    if change.deleted:
        return message.deleted_at is None
    if change.text is None or change.edited_at is None or change.text == message.text:
        return False
    # Whole seconds: of two edits in one second the one that is heard later is the later one.
    return message.edited_at is None or message.edited_at <= change.edited_at


@transaction.atomic
def _change(message: Message, change: MessageNow) -> None:
    found = Conversation.objects.select_related("lead").filter(id=message.conversation_id).first()
    if found is None:
        # Erased meanwhile.
        return
    conversation = conversation_lock_if_there(found.id, Person.of(found.peer_id, found.lead.username))
    if conversation is None:
        return
    message.refresh_from_db()
    if not _is_news(message, change):
        return
    if change.deleted:
        message.deleted_at = database_clock()
    else:
        message.original_text = message.original_text or message.text
        message.text, message.edited_at = change.text or "", change.edited_at
    message.save(update_fields=["text", "original_text", "edited_at", "deleted_at"])
    if message.author == Message.Author.LEAD:
        _follow(conversation, message, change)


def _follow(conversation: Conversation, message: Message, change: MessageNow) -> None:
    """What the lead changed is news only while nothing has answered it; except for a stop, which always is."""
    if not change.deleted and says_stop(message.text):
        opt_out(lead_id=conversation.lead_id, source=Suppression.Source.WORDS, reason=message.text[:200])
        return
    if conversation.owner != Conversation.Owner.AI or _is_answered(message):
        return
    if not change.deleted or _answer_pending(conversation):
        _ask_anew(conversation)


def _ask_anew(conversation: Conversation) -> None:
    """An answer to what stood there before is not sent. Where nothing is left to answer, nothing is asked."""
    conversation.epoch += 1
    conversation.save(update_fields=["epoch"])
    there = Message.objects.filter(conversation=conversation, author=Message.Author.LEAD, deleted_at=None)
    last = there.order_by("epoch").last()
    if last is not None and not _is_answered(last):
        quiet_seconds = conversation.lead.campaign.reply_quiet_seconds
        job_queue(conversation=conversation, now=database_clock(), quiet_seconds=quiet_seconds)
    else:
        jobs_drop(conversation=conversation)


def _is_answered(message: Message) -> bool:
    left = Q(delivery=None) | Q(delivery__state__in=_LEFT)
    later = Message.objects.filter(left, conversation_id=message.conversation_id, epoch__gte=message.epoch)
    return later.exclude(author=Message.Author.LEAD).exclude(delivery__purpose=Purpose.FIRST_CONTACT).exists()


def _answer_pending(conversation: Conversation) -> bool:
    """Whether the AI is about to answer: it is asked, or its answer waits to be sent."""
    asked = LlmJob.objects.filter(conversation=conversation, state=LlmJob.State.DUE)
    queued = Message.objects.filter(
        conversation=conversation,
        author=Message.Author.AI,
        epoch=conversation.epoch,
        delivery__state=_State.QUEUED,
        delivery__purpose=Purpose.REPLY,
    )
    return asked.exists() or queued.exists()
