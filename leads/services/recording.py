"""What is said in the direct chats of manager bots, as it arrives."""

from uuid import UUID

from django.db import transaction

from bots.selectors import is_own_account
from campaigns.models import Suppression
from campaigns.policy.fences import erasing_hold
from campaigns.selectors import is_erased
from campaigns.suppressions.recording import suppression_add, suppression_resolve
from leads.locks import conversation_again, conversation_lock_if_there
from leads.models import Conversation, Message
from leads.selectors import Person, conversation_with, leads_of
from leads.services.jobs import job_queue, jobs_drop
from leads.services.optout import opt_out
from leads.services.people import leads_learn, person_learn
from leads.services.takeover import outgoing_note
from leads.stop_words import says_stop
from messaging.database.clock import database_clock
from telegram.types import IncomingMessage, MessageNow


@transaction.atomic
def message_record(*, bot_id: UUID, message: IncomingMessage) -> None:
    """Record a direct message and do what follows from it. A repeat changes nothing; strangers are left alone, and so
    are Bot API bots, Telegram itself and the team's own accounts: they are nobody's leads.
    """
    if not message.private or message.author.kind in ("bot", "service"):
        return
    if is_own_account(telegram_user_id=message.peer_id):
        return
    name = "" if message.outgoing else message.from_username
    person = Person.of(message.peer_id, name)
    found = conversation_with(bot_id=bot_id, telegram_user_id=message.peer_id, username=person.username)
    if found is None:
        if not message.outgoing:
            _stranger(person, message.text)
        return
    conversation = conversation_lock_if_there(found.id, person)
    if conversation is None:
        # Erased meanwhile.
        return
    if suppression_resolve(telegram_user_id=message.peer_id, username=name, by="their message to us"):
        # It may have ended this very conversation.
        conversation = conversation_again(conversation)
    person_learn(conversation=conversation, telegram_user_id=message.peer_id)
    if Message.objects.filter(conversation=conversation, telegram_message_id=message.message_id).exists():
        return
    if message.outgoing:
        outgoing_note(conversation=conversation, message=message)
    else:
        _incoming(conversation, message)


@transaction.atomic
def stop_hear(change: MessageNow) -> None:
    """An edit of a direct message that is not on record: of a lead who wrote to another account, or before the
    conversation began. As with a message, it may be a stop."""
    if change.from_user_id is None or change.text is None or not says_stop(change.text):
        return
    # No lock comes before it.
    erasing_hold()
    if is_erased(telegram_user_id=change.from_user_id) or is_own_account(telegram_user_id=change.from_user_id):
        return
    _stranger(Person.of(change.from_user_id, change.from_username), change.text)


def _stranger(person: Person, text: str) -> None:
    """A lead may ask another account than the one that wrote to them to stop. Other strangers are left alone."""
    if not leads_of(person).exists():
        return
    leads_learn(person=person)
    if says_stop(text):
        suppression_add(
            telegram_user_id=person.telegram_user_id,
            username=person.username,
            source=Suppression.Source.WORDS,
            reason=text[:200],
        )


def _incoming(conversation: Conversation, message: IncomingMessage) -> None:
    if not message.text and (epoch := _epoch_of_album(conversation, message)) is not None:
        # One more picture of what is being answered already.
        _keep(conversation, message, epoch=epoch)
        return
    conversation.epoch += 1
    conversation.last_incoming_at = message.said_at
    conversation.save(update_fields=["epoch", "last_incoming_at"])
    _keep(conversation, message, epoch=conversation.epoch)
    if says_stop(message.text):
        opt_out(lead_id=conversation.lead_id, source=Suppression.Source.WORDS, reason=message.text[:200])
    elif conversation.owner == Conversation.Owner.AI:
        campaign = conversation.lead.campaign
        job_queue(conversation=conversation, now=database_clock(), quiet_seconds=campaign.reply_quiet_seconds)
    else:
        jobs_drop(conversation=conversation)


def _epoch_of_album(conversation: Conversation, message: IncomingMessage) -> int | None:
    """None when it belongs to no album of which something is recorded."""
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
        at=message.said_at,
        edited_at=message.edited_at,
    )
