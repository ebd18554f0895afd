"""Handles the final state of a conversation's message."""

from datetime import datetime

from django.db.models import Max

from bots.models import Delivery
from campaigns.models import Purpose, Suppression
from campaigns.suppressions.lookup import is_suppressed
from campaigns.suppressions.recording import suppression_resolve
from leads.first_contact import why_late_to_send
from leads.locks import conversation_again, conversation_lock_if_there
from leads.models import Conversation, Lead, Message
from leads.peer_refusals import refusal_text
from leads.selectors import PersonRef
from leads.services.identity import person_learn
from leads.services.opt_out import opt_out
from leads.services.ownership import Owner, conversation_end_if_over, lead_move, operator_needed, owner_move
from leads.services.unclaimed_messages import outgoing_judge

# Telegram's error if a person has blocked the account (telegram.errors.PeerRefuses).
_BLOCKED = "USER_IS_BLOCKED"
_PEER_REFUSES = "peer_refuses"
_State = Delivery.State


def message_settle(*, delivery: Delivery, now: datetime) -> None:
    """Handle a delivery's final state, in the same transaction that set the state."""
    message = Message.objects.filter(id=delivery.origin_id).first()
    if message is None:
        return
    met = PersonRef.of(delivery.peer_id, delivery.peer_username)
    conversation = conversation_lock_if_there(message.conversation_id, met)
    if conversation is None:
        # The conversation was erased meanwhile.
        return
    if delivery.peer_id is not None:
        if suppression_resolve(telegram_user_id=delivery.peer_id, username=delivery.peer_username, by="Telegram"):
            # The suppression may have ended this conversation.
            conversation = conversation_again(conversation)
        person_learn(conversation=conversation, telegram_user_id=delivery.peer_id)
    if delivery.telegram_message_id is None:
        _set_place(message)
    if delivery.state == _State.SENT:
        _sent(conversation, message, delivery)
    elif delivery.state == _State.FAILED and _BLOCKED in delivery.error:
        opt_out(lead_id=conversation.lead_id, source=Suppression.Source.BLOCK, reason="The person blocked the account.")
    elif delivery.purpose == Purpose.FIRST_CONTACT:
        _first_contact_not_sent(conversation, delivery, now)
    elif _reply_is_missing(conversation, message, delivery):
        _reply_not_sent(conversation, delivery)
    outgoing_judge(conversation=conversation_again(conversation))


def _set_place(message: Message) -> None:
    """Place a message without a Telegram id below the messages that it answers."""
    there = Message.objects.filter(conversation_id=message.conversation_id, epoch__lte=message.epoch)
    last = there.aggregate(last=Max("telegram_message_id"))["last"]
    Message.objects.filter(id=message.id).update(follows_message_id=last or 0)


def _reply_is_missing(conversation: Conversation, message: Message, delivery: Delivery) -> bool:
    """Whether an answer that the lead waits for was not sent. The gate also refuses answers that are out of date."""
    if conversation.owner != Owner.AI:
        return False
    still_an_answer = message.epoch == conversation.epoch
    return delivery.state in (_State.FAILED, _State.UNKNOWN) or (delivery.state == _State.REFUSED and still_an_answer)


def _sent(conversation: Conversation, message: Message, delivery: Delivery) -> None:
    assert delivery.sent_at is not None
    Message.objects.filter(id=message.id).update(telegram_message_id=delivery.telegram_message_id, at=delivery.sent_at)
    if conversation.lead.state == Lead.State.CONTACTING:
        lead_move(lead=conversation.lead, state=Lead.State.TALKING)


def _first_contact_not_sent(conversation: Conversation, delivery: Delivery, now: datetime) -> None:
    """End the conversation, because the first contact was not sent.

    If the message was late, the lead awaits approval again. Nothing changes if an operator has decided about the lead
    already.
    """
    lead = conversation.lead
    if lead.state != Lead.State.CONTACTING or conversation.owner != Owner.AI:
        return
    reason = refusal_text(delivery.error) or f"The delivery has the state “{delivery.get_state_display()}”."
    ended = Lead.State.FAILED
    if delivery.state == _State.CANCELLED:
        # Only an operator cancels such a delivery without a decision about the lead. The person may be reachable.
        ended, reason = Lead.State.CLOSED, f"An operator cancelled the first contact: {reason}"
    if delivery.state == _State.REFUSED and delivery.error == why_late_to_send(lead, now):
        ended = Lead.State.AWAITING_APPROVAL
    if delivery.state == _State.UNKNOWN:
        reason = f"Check in Telegram whether the first contact was sent: {reason}"
        operator_needed(conversation=conversation, reason=reason, event_reason=reason)
        return
    stopped = is_suppressed(telegram_user_id=lead.telegram_user_id, username=lead.username)
    lead_move(lead=lead, state=Lead.State.OPTED_OUT if stopped else ended, reason=reason)
    owner_move(conversation=conversation, owner=Owner.NONE, reason=reason)


def _reply_not_sent(conversation: Conversation, delivery: Delivery) -> None:
    """Handle an answer that was not sent.

    If no account can write to the person, the lead has failed; otherwise an operator becomes the owner.
    """
    if delivery.state == _State.REFUSED and conversation_end_if_over(conversation=conversation):
        return
    if delivery.error_kind == _PEER_REFUSES:
        reason = refusal_text(delivery.error)
        lead_move(lead=conversation.lead, state=Lead.State.FAILED, reason=reason)
        owner_move(conversation=conversation, owner=Owner.NONE, reason=reason)
    else:
        reason = f"A reply was not sent ({delivery.get_state_display()}): {delivery.error}"
        operator_needed(conversation=conversation, reason=reason, event_reason=reason)
