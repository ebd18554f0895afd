"""Declares the topology on a broker, and compares it with the broker's state."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from kombu import Connection

from messaging.broker import policies
from messaging.broker.management_api import ManagementApi
from messaging.broker.topology import TOPOLOGY, ExchangeSpec, QueueSpec, Topology

_CONNECT_SECONDS = 5.0
# The suffix of the name of a temporary queue or exchange during a move (see `messaging.broker.queue_moves` and
# `messaging.broker.exchange_moves`).
MOVING_SUFFIX = ".moving"
Binding = tuple[str, str]

_DECLARES = "run setup_broker to declare it"
_MOVES = "setup_broker --migrate recreates the queue and keeps its messages"
_REPLACES = "setup_broker --migrate recreates the exchange and loses no message"
_BY_HAND = "delete the exchange while no program publishes to it, then run setup_broker"
# Why it matters if an argument differs.
_MEANINGS = {
    "alternate-exchange": "programs that declare the exchange without this argument get 406; a policy sets it instead",
    "x-queue-type": "only quorum queues count deliveries and store confirmed messages on several nodes",
    "x-message-ttl": "the time in milliseconds after which its messages expire",
    "x-delivery-limit": "the number of deliveries after which a message becomes a dead letter",
    "x-dead-letter-exchange": "the exchange for rejected messages; without it they are lost",
    "x-dead-letter-routing-key": "the routing key of rejected messages, which leads to the dead letter queue",
    "x-dead-letter-strategy": "at-least-once keeps a dead letter until it has arrived; otherwise some are lost",
    "x-overflow": "at-least-once dead-lettering requires it",
}


class DeclarationRefused(Exception):
    """The broker has a queue or an exchange of that name with other arguments. The text contains the name."""


def declare(topology: Topology = TOPOLOGY, url: str = "") -> None:
    """Declare everything except the policies, which AMQP does not support (`policies.policies_set`).

    Existing queues and exchanges do not change. Raises `DeclarationRefused` if one differs.
    """
    with _connect(url) as connection:
        for exchange in topology.exchanges:
            _declare_exchange(connection, exchange)
        for queue in topology.queues:
            _declare_queue(connection, queue)


def declare_exchanges(topology: Topology, url: str = "") -> None:
    """Like `declare`, without the queues."""
    with _connect(url) as connection:
        for exchange in topology.exchanges:
            _declare_exchange(connection, exchange)


def differences(topology: Topology, api: ManagementApi) -> list[str]:
    """One line for each missing or different thing, and for each binding of our queues outside the topology.

    Each line contains the consequences of the difference and what to do about it.
    """
    queues, exchanges = api.in_vhost("queues"), api.in_vhost("exchanges")
    return [
        *_exchange_differences(topology, exchanges),
        *policies.differences(topology, api, exchanges),
        *_queue_differences(topology, queues),
        *_binding_differences(topology, api.in_vhost("bindings")),
        *unfinished_exchange_moves(topology, exchanges),
        *_unfinished_moves(topology, queues),
    ]


def queue_differs(spec: QueueSpec, live: dict[str, Any] | None) -> bool:
    """Whether the queue exists and has to be recreated.

    `live` is the management API's description, None without one.
    """
    return live is not None and any(_differences_of_queue(spec, live))


def exchange_differs(spec: ExchangeSpec, live: dict[str, Any] | None) -> bool:
    """Whether the exchange exists and has to be recreated: it has arguments, but the right type, and is durable."""
    return live is not None and bool(live["arguments"]) and live["type"] == spec.type and live["durable"]


def unfinished_exchange_moves(topology: Topology, found: list[dict[str, Any]]) -> list[str]:
    """A line for each temporary exchange that an interrupted `setup_broker --migrate` left."""
    existing = {exchange["name"] for exchange in found}
    return [
        f"exchange {spec.name}{MOVING_SUFFIX} is left over from an interrupted move: messages to {spec.name} go through"
        " it; run setup_broker --migrate again"
        for spec in topology.exchanges
        if spec.name + MOVING_SUFFIX in existing
    ]


def _connect(url: str) -> Connection:
    return Connection(url or settings.RABBITMQ_URL, connect_timeout=_CONNECT_SECONDS)


def _declare_exchange(connection: Connection, spec: ExchangeSpec) -> None:
    channel = connection.channel()
    try:
        channel.exchange_declare(spec.name, spec.type, durable=True, auto_delete=False)
        channel.close()
    except connection.channel_errors as problem:
        raise DeclarationRefused(f"exchange {spec.name}: {problem}") from None


def _declare_queue(connection: Connection, spec: QueueSpec) -> None:
    channel = connection.channel()
    try:
        channel.queue_declare(spec.name, durable=True, auto_delete=False, arguments=spec.arguments)
        for exchange, pattern in spec.all_bindings:
            channel.queue_bind(spec.name, exchange, pattern)
        channel.close()
    except connection.channel_errors as problem:
        raise DeclarationRefused(f"queue {spec.name}: {problem}") from None


def _exchange_differences(topology: Topology, found: list[dict[str, Any]]) -> Iterator[str]:
    existing = {exchange["name"]: exchange for exchange in found}
    for spec in topology.exchanges:
        live = existing.get(spec.name)
        if live is None:
            yield f"exchange {spec.name} is missing: programs that publish to it get an error; {_DECLARES}"
            continue
        if live["type"] != spec.type:
            yield f"exchange {spec.name} is of type {live['type']}, not {spec.type}, and routes differently; {_BY_HAND}"
        if not live["durable"]:
            yield f"exchange {spec.name} is not durable: a restart of the broker deletes it; {_BY_HAND}"
        remedy = _REPLACES if exchange_differs(spec, live) else _BY_HAND
        for line in _argument_differences({}, live["arguments"]):
            yield f"exchange {spec.name} has {line}; {remedy}"


def _queue_differences(topology: Topology, found: list[dict[str, Any]]) -> Iterator[str]:
    existing = {queue["name"]: queue for queue in found}
    for spec in topology.queues:
        live = existing.get(spec.name)
        if live is None:
            yield f"queue {spec.name} is missing: messages for it are unroutable; {_DECLARES}"
            continue
        for line in _differences_of_queue(spec, live):
            yield f"queue {spec.name} {line}; {_MOVES}"


def _differences_of_queue(spec: QueueSpec, live: dict[str, Any]) -> Iterator[str]:
    if not live["durable"]:
        yield "is not durable: a restart of the broker deletes it"
    if live["auto_delete"]:
        yield "is auto-delete: it is deleted when its last consumer disconnects"
    for line in _argument_differences(spec.arguments, live["arguments"]):
        yield f"has {line}"


def _argument_differences(wanted: dict[str, Any], live: dict[str, Any]) -> Iterator[str]:
    for name in sorted(wanted.keys() | live.keys()):
        if wanted.get(name) != live.get(name):
            meaning = _MEANINGS.get(name, "the topology does not set it")
            yield f"{name}={live.get(name, '(none)')}, not {wanted.get(name, '(none)')}: {meaning}"


def _binding_differences(topology: Topology, found: list[dict[str, Any]]) -> Iterator[str]:
    ours = {queue.name for queue in topology.queues}
    live = {
        (item["source"], item["routing_key"], item["destination"])
        for item in found
        # The default exchange binds every queue implicitly.
        if item["source"] and item["destination_type"] == "queue" and item["destination"] in ours
    }
    wanted = {(exchange, key, queue.name) for queue in topology.queues for exchange, key in queue.all_bindings}
    for exchange, key, queue in sorted(wanted - live):
        yield f"queue {queue} is not bound to {exchange} by {key!r}: such messages do not reach the queue; {_DECLARES}"
    for exchange, key, queue in sorted(live - wanted):
        yield (
            f"queue {queue} is bound to {exchange} by {key!r}, which is not in the topology: the queue gets messages"
            " that its workers do not expect; remove the binding unless another program needs it"
        )


def _unfinished_moves(topology: Topology, found: list[dict[str, Any]]) -> Iterator[str]:
    existing = {queue["name"] for queue in found}
    for spec in topology.queues:
        if spec.name + MOVING_SUFFIX in existing:
            yield (
                f"queue {spec.name}{MOVING_SUFFIX} is left over from an interrupted move: messages of {spec.name} wait"
                " in it; setup_broker --migrate moves them back"
            )
