"""The event class for events that have no class of their own."""

from pydantic import ConfigDict

from messaging.broker import topology
from messaging.events import Event


class SystemEvent(Event, exchange=topology.EVENTS_EXCHANGE, key="#", fallback=True):
    """Any other event of `events_exchange`, with any fields and key, such as `billing.paid` of another program.

    Only `arrived_under` contains its key.
    """

    model_config = ConfigDict(extra="allow")
