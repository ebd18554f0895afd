"""Messages in the direct chats of manager accounts: new ones, edits and deletions.

The record keeps the first text of a message, and deleted messages.
"""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from bots.models import Delivery
from bots.selectors import is_own_account
from campaigns.models import Purpose, Suppression
from campaigns.policy.locks import erasures_lock_shared
from campaigns.suppressions.lookup import is_erased
from campaigns.suppressions.recording import suppression_add, suppression_resolve
from leads.locks import conversation_again, conversation_lock_if_there
from leads.models import Conversation, LlmJob, Message
from leads.selectors import PersonRef, conversation_with, leads_of, messages_without_delivery
from leads.services.identity import leads_learn, person_learn
from leads.services.llm_jobs import job_queue
from leads.services.opt_out import opt_out
from leads.services.ownership import jobs_drop
from leads.services.unclaimed_messages import outgoing_note
from leads.stop_words import is_stop_request
from messaging.database.clock import database_clock
from telegram.types import IncomingMessage, MessageNow

_State = Delivery.State
# A delivery in one of these states has reached the lead, or may have.
_LEFT = (_State.SENDING, _State.SENT, _State.UNKNOWN)


@transaction.atomic
def message_record(*, bot_id: UUID, message: IncomingMessage) -> None:
    """Record a direct message and react to it. Recording it again has no effect.

    Messages of strangers are not recorded, nor are those of Bot API bots, of Telegram itself and of the team's own
    accounts, which are never leads.
    """
    if not message.private or message.author.kind in ("bot", "service"):
        return
    if is_own_account(telegram_user_id=message.peer_id):
        return
    name = "" if message.outgoing else message.from_username
    person = PersonRef.of(message.peer_id, name)
    found = conversation_with(bot_id=bot_id, telegram_user_id=message.peer_id, username=person.username)
    if found is None:
        if not message.outgoing:
            _stranger(person, message.text)
        return
    conversation = conversation_lock_if_there(found.id, person)
    if conversation is None:
        # The conversation was erased meanwhile.
        return
    if suppression_resolve(telegram_user_id=message.peer_id, username=name, by="the person's private message"):
        # The suppression may have ended this conversation.
        conversation = conversation_again(conversation)
    person_learn(conversation=conversation, telegram_user_id=message.peer_id)
    if Message.objects.filter(conversation=conversation, telegram_message_id=message.message_id).exists():
        return
    if message.outgoing:
        outgoing_note(conversation=conversation, message=message)
    else:
        _incoming(conversation, message)


@transaction.atomic
def unrecorded_edit_handle(change: MessageNow) -> None:
    """Handle the edit of a direct message that is not recorded. The new text may be a stop.

    Such messages are from a lead who wrote to another account, or from before the conversation.
    """
    if change.from_user_id is None or change.text is None or not is_stop_request(change.text):
        return
    # This lock comes before all others.
    erasures_lock_shared()
    if is_erased(telegram_user_id=change.from_user_id) or is_own_account(telegram_user_id=change.from_user_id):
        return
    _stranger(PersonRef.of(change.from_user_id, change.from_username), change.text)


def _stranger(person: PersonRef, text: str) -> None:
    """Handle a message from a person without a conversation with this account.

    A lead may send the stop to another account than the account that wrote to the lead. Other strangers are ignored.
    """
    if not leads_of(person).exists():
        return
    leads_learn(person=person)
    if is_stop_request(text):
        suppression_add(
            telegram_user_id=person.telegram_user_id,
            username=person.username,
            source=Suppression.Source.WORDS,
            reason=text[:200],
        )


def _incoming(conversation: Conversation, message: IncomingMessage) -> None:
    if not message.text and (epoch := _epoch_of_album(conversation, message)) is not None:
        # One more picture of an album that is being answered already.
        _keep(conversation, message, epoch=epoch)
        return
    conversation.epoch += 1
    conversation.last_incoming_at = message.sent_at
    conversation.save(update_fields=["epoch", "last_incoming_at"])
    _keep(conversation, message, epoch=conversation.epoch)
    if is_stop_request(message.text):
        opt_out(lead_id=conversation.lead_id, source=Suppression.Source.WORDS, reason=message.text[:200])
    elif conversation.owner == Conversation.Owner.AI:
        campaign = conversation.lead.campaign
        job_queue(conversation=conversation, now=database_clock(), quiet_seconds=campaign.reply_quiet_seconds)
    else:
        jobs_drop(conversation=conversation)


def _epoch_of_album(conversation: Conversation, message: IncomingMessage) -> int | None:
    """The epoch of the message's album, or None if no message of such an album is recorded."""
    if message.grouped_id is None:
        return None
    album = Message.objects.filter(conversation=conversation, author=Message.Author.LEAD, grouped_id=message.grouped_id)
    return album.order_by("-epoch").values_list("epoch", flat=True).first()


def _keep(conversation: Conversation, message: IncomingMessage, *, epoch: int) -> None:
    Message.objects.create(
        conversation=conversation,
        author=Message.Author.LEAD,
        text=message.text,
        telegram_message_id=message.message_id,
        grouped_id=message.grouped_id,
        epoch=epoch,
        at=message.sent_at,
        edited_at=message.edited_at,
    )


def messages_changed(*, bot_id: UUID, changes: Sequence[MessageNow]) -> list[MessageNow]:
    """Record changes of messages in the bot's conversations, in one transaction each, and react to them.

    Returns the changes of other messages; of these only a lead's stop has an effect. Known changes have no effect.
    """
    known = {
        message.telegram_message_id: message
        for message in messages_without_delivery(bot_id=bot_id)
        .filter(telegram_message_id__in=[change.message_id for change in changes])
        .order_by("at")
    }
    for change in changes:
        message = known.get(change.message_id)
        if message is None:
            unrecorded_edit_handle(change)
        elif _is_news(message, change):
            _change(message, change)
    return [change for change in changes if change.message_id not in known]


def _is_news(message: Message, change: MessageNow) -> bool:
    if change.deleted:
        return message.deleted_at is None
    if change.text is None or change.edited_at is None or change.text == message.text:
        return False
    # Telegram reports whole seconds: of two edits in the same second the edit that arrives later counts.
    return message.edited_at is None or message.edited_at <= change.edited_at


@transaction.atomic
def _change(message: Message, change: MessageNow) -> None:
    found = Conversation.objects.select_related("lead").filter(id=message.conversation_id).first()
    if found is None:
        # The conversation was erased meanwhile.
        return
    conversation = conversation_lock_if_there(found.id, PersonRef.of(found.peer_id, found.lead.username))
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
    """React to a change by the lead. A stop always counts; other changes only before the message is answered."""
    if not change.deleted and is_stop_request(message.text):
        opt_out(lead_id=conversation.lead_id, source=Suppression.Source.WORDS, reason=message.text[:200])
        return
    if conversation.owner != Conversation.Owner.AI or _is_answered(message):
        return
    if not change.deleted or _answer_pending(conversation):
        _request_new_answer(conversation)


def _request_new_answer(conversation: Conversation) -> None:
    """Discard the answer to the earlier text and queue a new LLM job, unless nothing is left to answer."""
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
    """Whether the AI is about to answer: a job is due, or the answer waits to be sent."""
    jobs = LlmJob.objects.filter(conversation=conversation, state=LlmJob.State.DUE)
    queued = Message.objects.filter(
        conversation=conversation,
        author=Message.Author.AI,
        epoch=conversation.epoch,
        delivery__state=_State.QUEUED,
        delivery__purpose=Purpose.REPLY,
    )
    return jobs.exists() or queued.exists()
