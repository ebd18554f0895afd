"""Events that report that an operator is needed. They contain ids and technical reasons, but no texts of leads."""

from uuid import UUID

from messaging.broker import topology
from messaging.events import Event


class ConversationHandedOver(Event, exchange=topology.EVENTS_EXCHANGE, key="manager.handover"):
    """A conversation waits for an operator: the AI asks for an operator, or cannot continue."""

    conversation_id: UUID
    campaign_id: UUID
    reason: str


class ApprovalNeeded(Event, exchange=topology.EVENTS_EXCHANGE, key="manager.approval"):
    """A first contact waits for an operator's approval."""

    lead_id: UUID
    campaign_id: UUID
    reason: str
