"""What the leads room publishes when an operator is needed: ids and technical reasons, nothing of what leads write."""

from uuid import UUID

from messaging.broker import topology
from messaging.events import Event


class ConversationHandedOver(Event, exchange=topology.EVENTS_EXCHANGE, key="manager.handover"):
    """A conversation waits for an operator: the AI asks for one, or cannot go on."""

    conversation_id: UUID
    campaign_id: UUID
    reason: str


class ApprovalNeeded(Event, exchange=topology.EVENTS_EXCHANGE, key="manager.approval"):
    """A first contact waits for an operator's approval."""

    lead_id: UUID
    campaign_id: UUID
    reason: str
