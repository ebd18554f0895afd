"""What the notifier hears beside the events that have a class of their own."""

from typing import Self

from pydantic import ConfigDict, PrivateAttr

from messaging import topology
from messaging.events import Event


class SystemEvent(Event, exchange=topology.EVENTS_EXCHANGE, key="#", fallback=True):
    """Any other event of `events_exchange`, with whatever fields and key it has: `billing.paid` of another program."""

    model_config = ConfigDict(extra="allow")

    _routing_key: str = PrivateAttr("")

    @property
    def routing_key(self) -> str:
        return self._routing_key

    def arrived_under(self, routing_key: str) -> Self:
        self._routing_key = routing_key
        return self
