"""The topology on a broker: declared, and compared with what stands there."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from kombu import Connection

from messaging.management_api import ManagementApi
from messaging.topology import TOPOLOGY, ExchangeSpec, QueueSpec, Topology

_CONNECT_SECONDS = 5.0


class DeclarationRefused(Exception):
    """The broker has something of that name with other arguments; the text names it."""


def declare(topology: Topology = TOPOLOGY, url: str = "") -> None:
    """Declare everything. What stands already is left as it is; what stands otherwise raises `DeclarationRefused`."""
    with Connection(url or settings.RABBITMQ_URL, connect_timeout=_CONNECT_SECONDS) as connection:
        for exchange in topology.exchanges:
            _declare_exchange(connection, exchange)
        for queue in topology.queues:
            _declare_queue(connection, queue)


def differences(topology: Topology, api: ManagementApi) -> list[str]:
    """One line for each thing that is missing, different, or bound to our queues beyond what the topology says."""
    return [
        *_exchange_differences(topology, api.in_vhost("exchanges")),
        *_queue_differences(topology, api.in_vhost("queues")),
        *_binding_differences(topology, api.in_vhost("bindings")),
    ]


def _declare_exchange(connection: Connection, spec: ExchangeSpec) -> None:
    channel = connection.channel()
    try:
        channel.exchange_declare(spec.name, spec.type, durable=True, auto_delete=False, arguments=spec.arguments)
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
    standing = {exchange["name"]: exchange for exchange in found}
    for spec in topology.exchanges:
        live = standing.get(spec.name)
        if live is None:
            yield f"exchange {spec.name} is missing"
            continue
        if live["type"] != spec.type:
            yield f"exchange {spec.name} is of type {live['type']}, not {spec.type}"
        if not live["durable"]:
            yield f"exchange {spec.name} is not durable"
        yield from _argument_differences(f"exchange {spec.name}", spec.arguments, live["arguments"])


def _queue_differences(topology: Topology, found: list[dict[str, Any]]) -> Iterator[str]:
    standing = {queue["name"]: queue for queue in found}
    for spec in topology.queues:
        live = standing.get(spec.name)
        if live is None:
            yield f"queue {spec.name} is missing"
            continue
        if not live["durable"]:
            yield f"queue {spec.name} is not durable"
        yield from _argument_differences(f"queue {spec.name}", spec.arguments, live["arguments"])


def _argument_differences(what: str, wanted: dict[str, Any], live: dict[str, Any]) -> Iterator[str]:
    for name in sorted(wanted.keys() | live.keys()):
        if wanted.get(name) != live.get(name):
            yield f"{what} has {name}={live.get(name, '(none)')}, not {wanted.get(name, '(none)')}"


def _binding_differences(topology: Topology, found: list[dict[str, Any]]) -> Iterator[str]:
    ours = {queue.name for queue in topology.queues}
    live = {
        (item["source"], item["routing_key"], item["destination"])
        for item in found
        # The default exchange binds every queue by itself.
        if item["source"] and item["destination_type"] == "queue" and item["destination"] in ours
    }
    wanted = {(exchange, key, queue.name) for queue in topology.queues for exchange, key in queue.all_bindings}
    for exchange, key, queue in sorted(wanted - live):
        yield f"queue {queue} is not bound to {exchange} by {key!r}"
    for exchange, key, queue in sorted(live - wanted):
        yield f"queue {queue} is bound to {exchange} by {key!r}, which the topology does not say"
