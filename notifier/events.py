"""What the notifier hears beside the events that have a class of their own."""

from pydantic import ConfigDict

from messaging import topology
from messaging.events import Event


class SystemEvent(Event, exchange=topology.EVENTS_EXCHANGE, key="{service}.{occurrence}", fallback=True):
    """Any other event of `events_exchange`, with whatever fields it has: `billing.paid` of a program that is not ours.

    Service and occurrence are the two words of the routing key.
    """

    model_config = ConfigDict(extra="allow")

    service: str
    occurrence: str
