"""The conversation's part of the gate: whether its messages may be sent now, and what follows from the outcome."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from bots.gate.row_locks import Statement, execute
from bots.gate.verdicts import ALLOW, Refuse, Verdict, Wait
from bots.models import Delivery
from campaigns.models import Purpose
from campaigns.permissions.validity import Gap
from leads.first_contact import why_late_to_send
from leads.models import Conversation, Lead, Message
from leads.selectors import direct_contact_gaps
from leads.services.settlement import message_settle

MOVED_ON = Refuse("The conversation has changed since this message was written.")
_ON_THE_WAY = (Delivery.State.QUEUED, Delivery.State.SENDING)

_LOCK_CONVERSATIONS = """
    SELECT id FROM leads_conversation WHERE id IN (SELECT conversation_id FROM leads_message WHERE id = ANY(%s))
    ORDER BY id FOR SHARE
"""


class LeadsOrigin:
    """`origin_id` is the id of a `leads.Message`."""

    def lock_fences(self, origin_ids: Collection[UUID]) -> None:
        execute(Statement(_LOCK_CONVERSATIONS, [list(origin_ids)]))

    def verdicts(self, deliveries: Sequence[Delivery], *, now: datetime) -> Mapping[UUID, Verdict]:
        messages = {
            message.id: message
            for message in Message.objects.filter(id__in=[each.origin_id for each in deliveries]).select_related(
                "conversation__lead__campaign"
            )
        }
        known = [(delivery, messages[delivery.origin_id]) for delivery in deliveries if delivery.origin_id in messages]
        # Read after the locks: a revocation from now on waits for the claim.
        gaps = direct_contact_gaps({message.conversation.lead.chat_id for _, message in known}, now=now)
        opening = _opening({message.conversation_id for _, message in known})
        return {delivery.id: _verdict(delivery, message, gaps, opening, now) for delivery, message in known}

    def settle(self, delivery: Delivery, *, now: datetime) -> None:
        message_settle(delivery=delivery, now=now)


def _opening(conversation_ids: set[UUID]) -> set[UUID]:
    """The conversations whose first message has not been sent yet."""
    first = Message.objects.filter(
        conversation_id__in=conversation_ids,
        delivery__purpose=Purpose.FIRST_CONTACT,
        delivery__state__in=_ON_THE_WAY,
    )
    return set(first.values_list("conversation_id", flat=True))


def _verdict(
    delivery: Delivery, message: Message, gaps: Mapping[int, Gap], opening: set[UUID], now: datetime
) -> Verdict:
    conversation = message.conversation
    lead = conversation.lead
    if lead.state == Lead.State.OPTED_OUT:
        return Refuse("This person asked not to be written to.")
    if message.author == Message.Author.OPERATOR:
        human = conversation.owner == Conversation.Owner.HUMAN
        return ALLOW if human else Refuse("An operator no longer owns the conversation.")
    if conversation.owner != Conversation.Owner.AI and not message.parting:
        return Refuse("The AI no longer owns the conversation.")
    if delivery.purpose == Purpose.FIRST_CONTACT:
        # If the lead has written first, the first contact is sent late too, because it explains who answers.
        if conversation.last_incoming_at is None and (late := why_late_to_send(lead, now)):
            return Refuse(late)
        return ALLOW if lead.approved_at is not None else _of_the_owner(gaps.get(lead.chat_id))
    if message.epoch != conversation.epoch:
        return MOVED_ON
    if conversation.id in opening:
        return Wait(None, "The first message of the conversation, which says who writes, must be sent first.")
    return ALLOW


def _of_the_owner(gap: Gap | None) -> Verdict:
    if gap is None:
        return ALLOW
    reason = f"No permission of the chat's owner for first contacts is in force: {gap.reason}."
    return Refuse(reason) if gap.lasting else Wait(gap.until, reason)
