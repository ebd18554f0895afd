"""The owner of a conversation (the AI, an operator, nobody), and its end when nothing more may be sent."""

from uuid import UUID

from django.db import transaction

from campaigns.models import Campaign
from campaigns.suppressions.lookup import is_suppressed
from leads.events import ApprovalNeeded, ConversationHandedOver
from leads.locks import conversation_lock
from leads.models import Conversation, Lead, LlmJob
from leads.services.outgoing_messages import ai_messages_cancel
from messaging.publishing.outbox import publish_on_commit
from messaging.wire import storable

Owner = Conversation.Owner
NOT_TALKING = (Lead.State.AWAITING_APPROVAL, Lead.State.CONTACTING, Lead.State.CLOSED, Lead.State.FAILED)


def owner_move(*, conversation: Conversation, owner: Owner, reason: str) -> None:
    """Change the owner and cancel all pending work of the old owner. The caller has locked the conversation."""
    conversation.owner, conversation.owner_reason = owner, reason[:300]
    conversation.epoch += 1
    conversation.save(update_fields=["owner", "owner_reason", "epoch"])
    jobs_drop(conversation=conversation)
    ai_messages_cancel(conversation=conversation, reason=reason)


def operator_needed(*, conversation: Conversation, reason: str, event_reason: str) -> None:
    """Make an operator the owner and notify the team by an event. The caller has locked the conversation.

    `reason` is shown on the page and may quote messages. `event_reason` is published and must not.
    """
    owner_move(conversation=conversation, owner=Owner.HUMAN, reason=reason)
    campaign_id = conversation.lead.campaign_id
    publish_on_commit(
        ConversationHandedOver(conversation_id=conversation.pk, campaign_id=campaign_id, reason=storable(event_reason))
    )


def lead_move(*, lead: Lead, state: Lead.State, reason: str = "") -> None:
    """Change the lead's state. If the lead comes to await approval, an event notifies the team."""
    awaits = state == Lead.State.AWAITING_APPROVAL and lead.state != state
    lead.state, lead.state_reason = state, reason[:300]
    lead.save(update_fields=["state", "state_reason"])
    if awaits:
        publish_on_commit(ApprovalNeeded(lead_id=lead.pk, campaign_id=lead.campaign_id, reason=lead.state_reason))


def lead_resume(*, lead: Lead) -> None:
    """Set the lead to talking, because a conversation with it continues."""
    if lead.state in NOT_TALKING:
        lead_move(lead=lead, state=Lead.State.TALKING)


def jobs_drop(*, conversation: Conversation) -> int:
    """Make the conversation's due jobs stale, because it has moved on. Returns their number."""
    due = LlmJob.objects.filter(conversation=conversation, state=LlmJob.State.DUE)
    return due.update(state=LlmJob.State.STALE)


def over_because(*, conversation: Conversation) -> tuple[Lead.State, str] | None:
    """The lead's new state and the reason, if the person is suppressed or the campaign has finished; otherwise None."""
    lead = conversation.lead
    if is_suppressed(telegram_user_id=lead.telegram_user_id, username=lead.username):
        return Lead.State.OPTED_OUT, "This person asked not to be written to."
    if lead.campaign.state == Campaign.State.FINISHED:
        return Lead.State.CLOSED, "The campaign has finished."
    return None


def conversation_end_if_over(*, conversation: Conversation) -> bool:
    """End the conversation if nothing more may be sent. Returns whether it has ended.

    The caller has locked the conversation, and its owner is the AI.
    """
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
    """End the conversation if its owner is the AI and nothing more may be sent. Raises ConversationGone."""
    conversation = conversation_lock(conversation_id)
    if conversation.owner == Owner.AI:
        conversation_end_if_over(conversation=conversation)
