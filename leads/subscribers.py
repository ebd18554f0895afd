"""Doors for events."""

from collections.abc import Sequence

from leads.services.receiving import leads_receive
from messaging.broker import topology
from messaging.consuming.subscriptions import subscriber
from parser.events import NewTargetMessage


@subscriber(topology.LEADS_QUEUE, name="leads.subscribers.receive_lead", batch=True)
def receive_leads(events: Sequence[NewTargetMessage]) -> None:
    leads_receive(events=events)
