"""Doors for events."""

from leads.services import lead_receive
from messaging import topology
from messaging.subscriptions import subscriber
from parser.events import NewTargetMessage


@subscriber(topology.LEADS_QUEUE, name="leads.subscribers.receive_lead")
def receive_lead(event: NewTargetMessage) -> None:
    lead_receive(event=event)
