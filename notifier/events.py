"""What the notifier hears beside the events that have a class of their own."""

from pydantic import ConfigDict

from messaging.broker import topology
from messaging.events import Event


class SystemEvent(Event, exchange=topology.EVENTS_EXCHANGE, key="#", fallback=True):
    """Any other event of `events_exchange`, with whatever fields and key it has: `billing.paid` of another program.

    Only `arrived_under` tells its key.
    """

    model_config = ConfigDict(extra="allow")
