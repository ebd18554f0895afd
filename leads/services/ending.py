"""Conversations in which nothing more may be said end with the reason, so that nobody talks into nothing."""

from uuid import UUID

from django.db import transaction

from campaigns.models import Campaign
from campaigns.selectors import is_suppressed
from leads.locks import conversation_lock
from leads.models import Conversation, Lead
from leads.services.ownership import Owner, lead_move, owner_move


def over_because(*, conversation: Conversation) -> tuple[Lead.State, str] | None:
    """What the lead becomes and why, when the person is suppressed or the campaign has finished."""
    lead = conversation.lead
    if is_suppressed(telegram_user_id=lead.telegram_user_id, username=lead.username):
        return Lead.State.OPTED_OUT, "This person asked not to be written to."
    if lead.campaign.state == Campaign.State.FINISHED:
        return Lead.State.CLOSED, "The campaign has finished."
    return None


def conversation_end_if_over(*, conversation: Conversation) -> bool:
    """The conversation is locked and the AI's. Whether it has ended now."""
    over = over_because(conversation=conversation)
    if over is None:
        return False
    state, reason = over
    if conversation.lead.state != Lead.State.OPTED_OUT:
        lead_move(lead=conversation.lead, state=state, reason=reason)
    owner_move(conversation=conversation, owner=Owner.NONE, reason=reason)
    return True


@transaction.atomic
def conversation_end(*, conversation_id: UUID) -> None:
    """End it if it is still the AI's and nothing more may be said. Raises ConversationGone."""
    conversation = conversation_lock(conversation_id)
    if conversation.owner == Owner.AI:
        conversation_end_if_over(conversation=conversation)
