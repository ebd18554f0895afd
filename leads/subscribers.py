"""Doors for events."""

from collections.abc import Sequence

from leads.services.receiving import leads_receive
from messaging.broker import topology
from messaging.consuming.subscriptions import batch_subscriber
from parser.events import NewTargetMessage


@batch_subscriber(topology.LEADS_QUEUE, name="leads.subscribers.receive_lead")
def receive_leads(events: Sequence[NewTargetMessage]) -> None:
    leads_receive(events=events)
