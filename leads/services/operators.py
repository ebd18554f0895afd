"""What operators do in a conversation: take it over, hand it back, send messages."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from leads.locks import conversation_lock
from leads.models import Conversation, Lead, Message
from leads.selectors import messages_in_chat
from leads.services.llm_jobs import job_queue
from leads.services.outgoing_messages import message_send
from leads.services.ownership import Owner, lead_resume, owner_move
from messaging.database.clock import database_clock
from panelkit.errors import NotPossible
from panelkit.labels import clipped
from texts.telegram_form import LONGEST, as_kept, length
from texts.wording import counted


@transaction.atomic
def conversation_take_over(*, conversation_id: UUID, by: str = "") -> Conversation:
    """Make an operator the owner. The AI's queued messages are cancelled, and none is claimed from now on."""
    conversation = _conversation_locked(conversation_id)
    if conversation.owner != Owner.HUMAN:
        owner_move(conversation=conversation, owner=Owner.HUMAN, reason=f"Taken over by {by or 'an operator'}.")
        lead_resume(lead=conversation.lead)
    return conversation


@transaction.atomic
def conversation_hand_back(*, conversation_id: UUID, by: str = "", now: datetime | None = None) -> Conversation:
    """Make the AI the owner again. The AI answers at once if the last message is the lead's."""
    conversation = _conversation_locked(conversation_id)
    if conversation.owner != Owner.AI:
        owner_move(conversation=conversation, owner=Owner.AI, reason=f"Handed back by {by or 'an operator'}.")
        lead_resume(lead=conversation.lead)
        latest = messages_in_chat(conversation_id=conversation.id, most=1)
        if latest and latest[-1].author == Message.Author.LEAD:
            job_queue(conversation=conversation, now=now or database_clock(), quiet_seconds=0)
    return conversation


@transaction.atomic
def operator_send(
    *,
    conversation_id: UUID,
    text: str,
    message_id: UUID | None = None,
    take_over_by: str = "",
    now: datetime | None = None,
) -> Message:
    """Queue an operator's message in a conversation that an operator owns.

    With `take_over_by`, the operator's name, the conversation is first taken over if necessary, but not for a text that
    is refused. `message_id` is the caller's id for the message: a second call with the same id queues nothing. Raises
    NotPossible.
    """
    conversation = _conversation_locked(conversation_id)
    words = as_kept(text)
    if message_id is not None and (queued := Message.objects.filter(id=message_id).first()) is not None:
        return _same(queued, conversation, words)
    if not words:
        raise NotPossible("Enter a message first.")
    if (too_many := length(words) - LONGEST) > 0:
        raise NotPossible(
            f"The message is {counted(too_many, 'character')} too long. Telegram takes at most {LONGEST}, and most "
            "emojis count as two. Shorten the message, or send it in parts."
        )
    if conversation.owner != Owner.HUMAN:
        if not take_over_by:
            raise NotPossible("Take the conversation over first. Otherwise the AI may answer too.")
        owner_move(conversation=conversation, owner=Owner.HUMAN, reason=f"Taken over by {take_over_by}.")
        lead_resume(lead=conversation.lead)
    return message_send(
        conversation=conversation,
        author=Message.Author.OPERATOR,
        text=words,
        due_at=now or database_clock(),
        message_id=message_id,
    )


def _same(queued: Message, conversation: Conversation, words: str) -> Message:
    if queued.conversation_id != conversation.id:
        # It may be any conversation's message, so the error repeats nothing of it.
        raise NotPossible("Not sent: this form belongs to another conversation. Reload the page.")
    if queued.text != words:
        raise NotPossible(
            f"Not sent: this form has already sent “{clipped(queued.text)}”, which cannot be changed. To send this "
            "text as another message, press the button again."
        )
    return queued


def _conversation_locked(conversation_id: UUID) -> Conversation:
    conversation = conversation_lock(conversation_id)
    if conversation.lead.state == Lead.State.OPTED_OUT:
        raise NotPossible("This person asked not to be written to.")
    return conversation
