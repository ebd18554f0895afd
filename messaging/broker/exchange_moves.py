"""Recreates exchanges that have arguments without them, while programs publish.

Arguments cannot be changed in place, and an exchange loses its bindings when it is deleted. So a temporary exchange
gets the same bindings first and takes over. At every moment each message reaches every queue that wants it:

1. The temporary exchange gets all bindings of the old one, which is then bound only to the temporary exchange.
2. A policy makes the temporary exchange the alternate of the exchange, for the moment after the exchange is declared
   again and has no bindings.
3. The old exchange is deleted and declared again. In between publishers are refused (404), which loses nothing, because
   they get the error.
4. The new exchange is bound to the temporary one, then to everything else, and then unbound from the temporary one.

A queue that a message reaches in two ways gets it once. After an interruption a later run continues, because the broker
shows how far the earlier one came.
"""

import json
import time
from collections.abc import Callable, Container, Iterable
from typing import Any, NamedTuple
from urllib.parse import quote

import amqp

from messaging.broker import declare, policies, topology
from messaging.broker.management_api import ManagementApi
from messaging.broker.topology import ExchangeSpec, PolicySpec, Topology
from messaging.errors import BrokerChangeRefused

# Higher than the policies that an administrator may have set for all exchanges.
_MOVING_PRIORITY = 1_000
# A message that is being routed has used the old policy and may still look up its alternate exchange.
_SETTLE_SECONDS = 1.0


class _Binding(NamedTuple):
    """A binding of the exchange to a queue or another exchange.

    The arguments are JSON text, so that bindings can be compared.
    """

    to: str
    to_exchange: bool
    key: str
    arguments: str = "{}"


class ExchangeMover:
    """Part of `queue_moves.QueueMover`, whose lock and channel it uses.

    `report` is called with a line for each exchange.
    """

    def __init__(
        self, wanted: Topology, api: ManagementApi, channel: amqp.Channel, report: Callable[[str], None]
    ) -> None:
        self._topology, self._api, self._channel, self._report = wanted, api, channel, report

    def move_all(self) -> list[str]:
        """Recreate the exchanges that have arguments, and finish the moves of an interrupted run. Returns their names.

        Raises `BrokerChangeRefused`.
        """
        existing = {exchange["name"]: exchange for exchange in self._api.in_vhost("exchanges")}
        changed = [spec for spec in self._topology.exchanges if declare.exchange_differs(spec, existing.get(spec.name))]
        unfinished = [spec for spec in self._topology.exchanges if exchange_beside(spec.name) in existing]
        chosen = [spec for spec in self._topology.exchanges if spec in changed or spec in unfinished]
        if not chosen:
            return []
        self._require_no_exclusive_queues(changed)
        self._set_policies(chosen, existing)
        for spec in chosen:
            self._move(spec, existing.get(spec.name))
        time.sleep(_SETTLE_SECONDS)
        for spec in chosen:
            self._channel.exchange_delete(exchange_beside(spec.name))
            self._report(f"{spec.name}: recreated")
        return [spec.name for spec in chosen]

    def _set_policies(self, specs: Iterable[ExchangeSpec], existing: Container[str]) -> None:
        try:
            policies.policies_set(self._topology, self._api)
            for spec in specs:
                policies.policy_set(_moving_policy(spec), self._api)
        except policies.PolicyRefused as problem:
            raise BrokerChangeRefused(
                "a temporary policy is needed to recreate an exchange without losing messages: run this as a user"
                f" with the tag policymaker; {problem}"
            ) from None
        for spec in specs:
            if spec.name in existing:
                self._require_followed(_moving_policy(spec), spec.name)

    def _move(self, spec: ExchangeSpec, live: dict[str, Any] | None) -> None:
        """Move one exchange. `live` is the management API's description of the exchange, None if it does not exist."""
        instead = {"alternate-exchange": topology.UNROUTABLE_EXCHANGE}
        self._channel.exchange_declare(
            exchange_beside(spec.name), spec.type, durable=True, auto_delete=False, arguments=instead
        )
        if declare.exchange_differs(spec, live):
            self._hand_over(spec)
        self._channel.exchange_declare(spec.name, spec.type, durable=True, auto_delete=False)
        self._take_back(spec)
        policies.policy_delete(_moving_policy(spec), self._api)

    def _hand_over(self, spec: ExchangeSpec) -> None:
        """Bind the old exchange only to the temporary one, and delete it."""
        # Other programs may add bindings meanwhile; these are moved, too.
        while others := self._bindings(spec.name) - set(_to_beside(spec, self._bindings(exchange_beside(spec.name)))):
            self._bind(exchange_beside(spec.name), others)
            self._bind(spec.name, _to_beside(spec, self._bindings(exchange_beside(spec.name))))
            self._unbind(spec.name, others)
        for source, binding in self._sources(spec.name):
            self._bind(source, [binding._replace(to=exchange_beside(spec.name))])
        self._channel.exchange_delete(spec.name)

    def _take_back(self, spec: ExchangeSpec) -> None:
        """Give the new exchange the bindings of the temporary one, and remove all bindings to the temporary one."""
        wanted = self._bindings(exchange_beside(spec.name))
        to_beside = _to_beside(spec, wanted)
        self._bind(spec.name, to_beside)
        self._bind(spec.name, wanted)
        sources = [
            (source, binding) for source, binding in self._sources(exchange_beside(spec.name)) if source != spec.name
        ]
        for source, binding in sources:
            self._bind(source, [binding._replace(to=spec.name)])
            self._unbind(source, [binding])
        self._unbind(spec.name, to_beside)

    def _require_no_exclusive_queues(self, specs: Iterable[ExchangeSpec]) -> None:
        """Raise `BrokerChangeRefused` if an exclusive queue is bound: only its owner can bind it again."""
        exclusive = {queue["name"] for queue in self._api.in_vhost("queues") if queue.get("exclusive")}
        for spec in specs:
            if found := sorted(exclusive & {binding.to for binding in self._bindings(spec.name)}):
                raise BrokerChangeRefused(
                    f"exchange {spec.name} is bound to exclusive queues of other programs, which only their"
                    f" owners can bind again: {', '.join(found)}; stop those programs, run this again, then start them"
                )

    def _require_followed(self, policy: PolicySpec, exchange: str) -> None:
        found = self._api.call("GET", f"exchanges/{self._quoted(exchange)}").get("policy")
        if found != policy.name:
            policies.policy_delete(policy, self._api)
            raise BrokerChangeRefused(
                f"exchange {exchange} follows the policy {found!r} rather than {policy.name!r}: give {found!r} a"
                f" priority below {policy.priority} until the exchange has been recreated"
            )

    def _bindings(self, exchange: str) -> set[_Binding]:
        found = self._api.call("GET", f"exchanges/{self._quoted(exchange)}/bindings/source")
        return {_binding(item) for item in found}

    def _sources(self, exchange: str) -> list[tuple[str, _Binding]]:
        """The exchanges that route messages to this one, with the bindings."""
        found = self._api.call("GET", f"exchanges/{self._quoted(exchange)}/bindings/destination")
        return [(item["source"], _binding(item)) for item in found]

    def _bind(self, source: str, bindings: Iterable[_Binding]) -> None:
        for to, to_exchange, key, arguments in bindings:
            bind = self._channel.exchange_bind if to_exchange else self._channel.queue_bind
            bind(to, source, key, arguments=json.loads(arguments))

    def _unbind(self, source: str, bindings: Iterable[_Binding]) -> None:
        for to, to_exchange, key, arguments in bindings:
            unbind = self._channel.exchange_unbind if to_exchange else self._channel.queue_unbind
            unbind(to, source, key, arguments=json.loads(arguments))

    def _quoted(self, exchange: str) -> str:
        return f"{quote(self._api.vhost, safe='')}/{quote(exchange, safe='')}"


def exchange_beside(exchange: str) -> str:
    """The name of the temporary exchange that replaces this one during a move."""
    return exchange + declare.MOVING_SUFFIX


def _binding(item: dict[str, Any]) -> _Binding:
    arguments = json.dumps(item["arguments"], sort_keys=True)
    return _Binding(item["destination"], item["destination_type"] == "exchange", item["routing_key"], arguments)


def _to_beside(spec: ExchangeSpec, bindings: Iterable[_Binding]) -> list[_Binding]:
    """Bindings that route every message that any of these bindings matches to the temporary exchange."""
    keys = {"#"} if spec.type == "topic" else {binding.key for binding in bindings}
    return [_Binding(exchange_beside(spec.name), True, key) for key in sorted(keys)]


def _moving_policy(spec: ExchangeSpec) -> PolicySpec:
    definition = {"alternate-exchange": exchange_beside(spec.name)}
    return PolicySpec(f"coolthing-moving-{spec.name}", (spec.name,), definition, _MOVING_PRIORITY)
