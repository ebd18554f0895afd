"""Who answers in a conversation (the AI, an operator, nobody), and when it ends because nothing more may be sent."""

from uuid import UUID

from django.db import transaction

from campaigns.models import Campaign
from campaigns.suppressions.lookup import is_suppressed
from leads.events import ApprovalNeeded, ConversationHandedOver
from leads.locks import conversation_lock
from leads.models import Conversation, Lead, LlmJob
from leads.services.sending import ai_messages_cancel
from messaging.publishing.outbox import publish_on_commit
from messaging.wire import storable

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


def lead_resume(*, lead: Lead) -> None:
    """Somebody takes the conversation up: the lead has neither ended nor is about to be contacted."""
    if lead.state in NOT_TALKING:
        lead_move(lead=lead, state=Lead.State.TALKING)


def jobs_drop(*, conversation: Conversation) -> int:
    """The conversation moved on: the LLM is not asked about what was before."""
    due = LlmJob.objects.filter(conversation=conversation, state=LlmJob.State.DUE)
    return due.update(state=LlmJob.State.STALE)


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
