"""Who answers in a conversation: the AI, a person, nobody."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from campaigns.services import NotPossible
from leads.events import ApprovalNeeded, ConversationHandedOver
from leads.locks import conversation_lock
from leads.models import Conversation, Lead, Message
from leads.selectors import messages_said
from leads.services.jobs import job_queue, jobs_drop
from leads.services.saying import ai_messages_cancel, message_say
from messaging.database.clock import database_clock
from messaging.publishing.outbox import publish_on_commit
from messaging.wire import storable
from panelkit.labels import clipped
from texts.telegram_form import LONGEST, as_kept, length

Owner = Conversation.Owner
NOT_TALKING = (Lead.State.AWAITING_APPROVAL, Lead.State.CONTACTING, Lead.State.CLOSED, Lead.State.FAILED)


def owner_move(*, conversation: Conversation, owner: Owner, reason: str) -> None:
    """The conversation is locked. Everything that was under way under the old owner is void."""
    conversation.owner, conversation.owner_reason = owner, reason[:300]
    conversation.epoch += 1
    conversation.save(update_fields=["owner", "owner_reason", "epoch"])
    jobs_drop(conversation=conversation)
    ai_messages_cancel(conversation=conversation, reason=reason)


def owner_needed(*, conversation: Conversation, reason: str, told: str) -> None:
    """The conversation is locked. It waits for an operator from now on, and the team is notified of `told`: that
    repeats nothing of what was written, which `reason` on the page may do."""
    owner_move(conversation=conversation, owner=Owner.HUMAN, reason=reason)
    campaign_id = conversation.lead.campaign_id
    publish_on_commit(
        ConversationHandedOver(conversation_id=conversation.pk, campaign_id=campaign_id, reason=storable(told))
    )


def lead_move(*, lead: Lead, state: Lead.State, reason: str = "") -> None:
    """A lead that comes to await approval is notified of."""
    awaits = state == Lead.State.AWAITING_APPROVAL and lead.state != state
    lead.state, lead.state_reason = state, reason[:300]
    lead.save(update_fields=["state", "state_reason"])
    if awaits:
        publish_on_commit(ApprovalNeeded(lead_id=lead.pk, campaign_id=lead.campaign_id, reason=lead.state_reason))


@transaction.atomic
def conversation_take_over(*, conversation_id: UUID, by: str = "") -> Conversation:
    """A person answers from now on: what the AI had queued is cancelled, and nothing of it is claimed any more."""
    conversation = _alive(conversation_id)
    if conversation.owner != Owner.HUMAN:
        owner_move(conversation=conversation, owner=Owner.HUMAN, reason=f"Taken over by {by or 'an operator'}.")
        _talking(conversation)
    return conversation


@transaction.atomic
def conversation_hand_back(*, conversation_id: UUID, by: str = "", now: datetime | None = None) -> Conversation:
    """The AI answers again, at once if the lead said the last word."""
    conversation = _alive(conversation_id)
    if conversation.owner != Owner.AI:
        owner_move(conversation=conversation, owner=Owner.AI, reason=f"Handed back by {by or 'an operator'}.")
        _talking(conversation)
        said = messages_said(conversation_id=conversation.id, most=1)
        if said and said[-1].author == Message.Author.LEAD:
            job_queue(conversation=conversation, now=now or database_clock(), quiet_seconds=0)
    return conversation


@transaction.atomic
def operator_say(
    *,
    conversation_id: UUID,
    text: str,
    message_id: UUID | None = None,
    take_over_by: str = "",
    now: datetime | None = None,
) -> Message:
    """Queue an operator's words, in a conversation that an operator owns. With `take_over_by`, the operator's name, it
    is taken over first where it is not; a text that is refused takes nothing over.

    `message_id` is the caller's id for the message: the same call twice queues it once.
    """
    conversation = _alive(conversation_id)
    words = as_kept(text)
    if message_id is not None and (queued := Message.objects.filter(id=message_id).first()) is not None:
        return _same(queued, conversation, words)
    if not words:
        raise NotPossible("Write something first.")
    if (too_many := length(words) - LONGEST) > 0:
        raise NotPossible(
            f"The message is too long by {too_many}: Telegram takes {LONGEST} characters, and most emojis count twice. "
            "Shorten it, or send it in parts."
        )
    if conversation.owner != Owner.HUMAN:
        if not take_over_by:
            raise NotPossible("Take the conversation over first: now the AI would answer in between.")
        owner_move(conversation=conversation, owner=Owner.HUMAN, reason=f"Taken over by {take_over_by}.")
        _talking(conversation)
    return message_say(
        conversation=conversation,
        author=Message.Author.OPERATOR,
        text=words,
        due_at=now or database_clock(),
        message_id=message_id,
    )


def _same(queued: Message, conversation: Conversation, words: str) -> Message:
    if queued.conversation_id != conversation.id:
        # It may be anybody's message: nothing of it is repeated here.
        raise NotPossible("Not sent: this form belongs to another conversation. Open this page again.")
    if queued.text != words:
        raise NotPossible(
            f"Not sent: “{clipped(queued.text)}” was sent from this form before and cannot be changed. "
            "To send this text as a further message, send it again."
        )
    return queued


def _alive(conversation_id: UUID) -> Conversation:
    conversation = conversation_lock(conversation_id)
    if conversation.lead.state == Lead.State.OPTED_OUT:
        raise NotPossible("This person asked not to be written to.")
    return conversation


def _talking(conversation: Conversation) -> None:
    """A conversation that somebody takes up is neither ended nor about to begin by itself."""
    if conversation.lead.state in NOT_TALKING:
        lead_move(lead=conversation.lead, state=Lead.State.TALKING)
