"""Recreates queues whose arguments have changed, and keeps their messages.

A queue's arguments cannot be changed in place. So a temporary queue takes over its bindings and its messages, the queue
is deleted and declared again, and bindings and messages move back. After an interruption a later run continues, because
the broker shows how far the earlier one came. A message may arrive twice, as over a broken connection; none is lost.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import quote

import amqp
from django.conf import settings
from kombu import Connection

from messaging.broker import declare, topology
from messaging.broker.exchange_moves import ExchangeMover
from messaging.broker.management_api import ManagementApi
from messaging.broker.queue_transport import QueueTransport
from messaging.broker.topology import Topology
from messaging.errors import BrokerChangeRefused
from texts.wording import counted

# An exclusive queue as a lock: only the process that could declare it moves queues.
LOCK = "setup_broker_lock"
# No TTL, no dead-lettering and a very high delivery limit, because messages only wait here.
_WAITING = {"x-queue-type": "quorum", "x-delivery-limit": topology.ARCHIVE_DELIVERY_LIMIT}
# The broker's statistics of a queue are at most two periods of 5 seconds old.
FIGURES_SECONDS = 11.0
_CONNECT_SECONDS = 5.0
_POLL_SECONDS = 0.5


class QueueMover:
    """Moves a broker's queues. `report` is called with a line for each step.

    A context manager. Only one can be active on a virtual host; another one raises `BrokerChangeRefused`.
    """

    def __init__(
        self,
        wanted: Topology,
        api: ManagementApi,
        report: Callable[[str], None],
        *,
        url: str = "",
        figures_seconds: float = FIGURES_SECONDS,
    ) -> None:
        self._topology, self._api, self._report, self._figures_seconds = wanted, api, report, figures_seconds
        self._url = url or settings.RABBITMQ_URL

    def __enter__(self) -> Self:
        self._connection = Connection(self._url, connect_timeout=_CONNECT_SECONDS)
        lock = self._connection.channel()
        try:
            lock.queue_declare(LOCK, exclusive=True, durable=False, auto_delete=False)
        except self._connection.channel_errors:
            self._connection.release()
            raise BrokerChangeRefused("another setup_broker --migrate is running") from None
        self._channel: amqp.Channel = self._connection.channel()
        self._transport = QueueTransport(self._connection)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._connection.release()

    def move_exchanges(self) -> list[str]:
        """Call `ExchangeMover.move_all`. Move the exchanges before the queues, whose bindings need them."""
        return ExchangeMover(self._topology, self._api, self._channel, self._report).move_all()

    def move_all(self) -> list[str]:
        """Recreate the queues that differ, and finish the moves of an interrupted run. Returns the names of both.

        Declares everything else in the topology, too. Raises `BrokerChangeRefused`, and `declare.DeclarationRefused`
        for an exchange that differs.
        """
        declare.declare_exchanges(self._topology, self._url)
        existing = {queue["name"]: queue for queue in self._api.in_vhost("queues")}
        changed = [spec for spec in self._topology.queues if declare.queue_differs(spec, existing.get(spec.name))]
        unfinished = [spec for spec in self._topology.queues if queue_beside(spec.name) in existing]
        for spec in changed:
            self._require_unused(spec.name)
        for spec in changed:
            self._move_out(spec.name, spec.all_bindings)
        self._await_emptiness({spec.name: queue_beside(spec.name) for spec in changed})
        for spec in changed:
            self._channel.queue_delete(spec.name)
        declare.declare(self._topology, self._url)
        # RabbitMQ 3.10 crashes a channel that has used a classic queue and then publishes to a quorum queue of the same
        # name.
        self._transport = QueueTransport(self._connection)
        back = [spec for spec in self._topology.queues if spec in changed or spec in unfinished]
        for spec in back:
            self._move_back(spec.name)
        return [spec.name for spec in back]

    def _move_out(self, queue: str, wanted: Sequence[declare.Binding]) -> None:
        bindings = self._bindings(queue)
        self._channel.queue_declare(queue_beside(queue), durable=True, auto_delete=False, arguments=_WAITING)
        # Bind the temporary queue before unbinding this one: a message may arrive twice in between, but is never lost.
        self._bind(queue_beside(queue), {*bindings, *wanted})
        self._unbind(queue, bindings)
        waiting = counted(self._transport.move(queue, queue_beside(queue)), "message waits", "messages wait")
        self._report(f"{queue}: {waiting} in {queue_beside(queue)}")

    def _move_back(self, queue: str) -> None:
        bindings = self._bindings(queue_beside(queue))
        # Including bindings that are not in the topology, because another program may depend on them.
        self._bind(queue, set(bindings))
        self._unbind(queue_beside(queue), bindings)
        moved = self._transport.move(queue_beside(queue), queue)
        self._await_emptiness({queue_beside(queue): queue})
        self._channel.queue_delete(queue_beside(queue))
        self._report(f"{queue}: recreated, {counted(moved, 'message has', 'messages have')} been moved back")

    def _await_emptiness(self, queues: Mapping[str, str]) -> None:
        """Wait until the queues have been empty and unused for as long as the broker's statistics may be out of date.

        Late messages (published before the queue was unbound) are carried to the queue's target. Statistics from before
        that may count messages that this process itself was handling.
        """
        since, settled = time.monotonic(), not queues
        while not settled:
            time.sleep(_POLL_SECONDS)
            quiet = time.monotonic() - since
            settled = quiet >= self._figures_seconds
            for queue, target in queues.items():
                if quiet >= FIGURES_SECONDS:
                    self._require_unused(queue)
                settled &= not self._in_use(queue)
                if self._transport.move(queue, target):
                    since, settled = time.monotonic(), False

    def _require_unused(self, queue: str) -> None:
        if use := self._in_use(queue):
            raise BrokerChangeRefused(f"{use}: stop the workers of this queue, then run this again")

    def _in_use(self, queue: str) -> str:
        """How the queue is used, as text; "" if it is not used."""
        if consumers := self._channel.queue_declare(queue, passive=True).consumer_count:
            return f"{queue} has {counted(consumers, 'consumer')}"
        unacked = self._api.queue(queue).get("messages_unacknowledged", 0)
        handled = counted(unacked, f"message of {queue} is", f"messages of {queue} are")
        return f"{handled} being handled" if unacked else ""

    def _bindings(self, queue: str) -> list[declare.Binding]:
        """The queue's bindings on the broker, without the default exchange's, which cannot be removed."""
        vhost, name = quote(self._api.vhost, safe=""), quote(queue, safe="")
        found = self._api.call("GET", f"queues/{vhost}/{name}/bindings")
        return [(item["source"], item["routing_key"]) for item in found if item["source"]]

    def _bind(self, queue: str, bindings: Iterable[declare.Binding]) -> None:
        for exchange, key in bindings:
            self._channel.queue_bind(queue, exchange, key)

    def _unbind(self, queue: str, bindings: Iterable[declare.Binding]) -> None:
        for exchange, key in bindings:
            self._channel.queue_unbind(queue, exchange, key)


def queue_beside(queue: str) -> str:
    """The name of the temporary queue that replaces this one during a move."""
    return queue + declare.MOVING_SUFFIX
