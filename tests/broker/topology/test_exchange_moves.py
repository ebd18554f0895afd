"""Exchanges that have their alternate as an argument are made anew on a real broker, while programs publish to them."""

import json
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import amqp
import pytest

from messaging.broker import declare, policies, topology
from messaging.broker.exchange_moves import ExchangeMover, exchange_beside
from messaging.broker.management_api import ManagementApi
from messaging.broker.queue_moves import QueueMover
from messaging.broker.topology import ALTERNATE_POLICY, TOPOLOGY
from messaging.errors import BrokerChangeRefused
from messaging.publishing.publisher import BROKER_ERRORS
from tests.broker.conftest import StartProcess
from tests.private import Broker
from tests.support import wait_until

CHANGED = ALTERNATE_POLICY.exchanges
OLD = {"alternate-exchange": topology.UNROUTABLE_EXCHANGE}
# Of other programs: a queue that wants some events, and an exchange that passes its messages on to ours.
FOREIGN_QUEUE, FOREIGN_EXCHANGE = "foreign_queue", "foreign_exchange"
# exchange, key → the queues that want it
WANTED = {
    (topology.SCRIPTS_EXCHANGE, "admin.script_created"): [topology.SCRIPTS_QUEUE, topology.SCRIPTS_WATCHDOG_QUEUE],
    (topology.LEADS_EXCHANGE, "lead.1"): [topology.LEADS_QUEUE],
    (topology.LEADS_EXCHANGE, "nobody"): [topology.UNROUTABLE_QUEUE],
    (topology.EVENTS_EXCHANGE, "a.banned"): [topology.NOTIFIER_QUEUE, FOREIGN_QUEUE],
    (FOREIGN_EXCHANGE, "b.banned"): [topology.NOTIFIER_QUEUE, FOREIGN_QUEUE],
    (topology.TASKS_EXCHANGE, topology.LLM_QUEUE): [topology.LLM_QUEUE],
}


@pytest.fixture
def old(broker: Broker) -> Iterator[Broker]:
    """A broker as earlier versions declared it, with what other programs have bound to it."""
    policies.policy_delete(ALTERNATE_POLICY, broker.api)
    with broker.channel() as channel:
        for spec in TOPOLOGY.exchanges:
            if spec.name in CHANGED:
                channel.exchange_delete(spec.name)
                channel.exchange_declare(spec.name, spec.type, durable=True, auto_delete=False, arguments=OLD)
        for queue in TOPOLOGY.queues:
            for exchange, key in queue.all_bindings:
                channel.queue_bind(queue.name, exchange, key)
        channel.queue_declare(FOREIGN_QUEUE, durable=True, auto_delete=False)
        channel.queue_bind(FOREIGN_QUEUE, topology.EVENTS_EXCHANGE, "*.banned", arguments={"why": ["not"]})
        channel.exchange_declare(FOREIGN_EXCHANGE, "topic", durable=True, auto_delete=False)
        channel.exchange_bind(topology.EVENTS_EXCHANGE, FOREIGN_EXCHANGE, "#")
    yield broker
    with broker.channel() as channel:
        channel.queue_delete(FOREIGN_QUEUE)
        for name in (FOREIGN_EXCHANGE, *CHANGED, *map(exchange_beside, CHANGED)):
            channel.exchange_delete(name)


def _move(broker: Broker, api: ManagementApi | None = None) -> list[str]:
    with QueueMover(TOPOLOGY, api or broker.api, print, url=broker.url) as mover:
        return mover.move_exchanges()


def _bindings(broker: Broker) -> set[tuple[str, ...]]:
    return {
        (item["source"], item["destination"], item["routing_key"], json.dumps(item["arguments"]))
        for item in broker.api.in_vhost("bindings")
        # Celery's own belong to workers that come and go.
        if item["source"] and "celery" not in item["source"]
    }


class _Publisher:
    """Publishes one message after the other to each address, as a program that knows what was confirmed."""

    def __init__(self, broker: Broker) -> None:
        self._broker, self._over = broker, threading.Event()
        self.confirmed: dict[tuple[str, str], list[str]] = defaultdict(list)

    def publish(self, address: tuple[str, str]) -> None:
        while not self._over.is_set():
            # A missing exchange closes the channel; a program opens another one and goes on.
            with suppress(*BROKER_ERRORS), self._broker.channel() as channel:
                channel.confirm_select()
                # Not as many as the broker takes: they are counted in the end.
                while not self._over.wait(0.005):
                    body = str(uuid.uuid4())
                    channel.basic_publish_confirm(amqp.Message(body), exchange=address[0], routing_key=address[1])
                    self.confirmed[address].append(body)

    def stop(self) -> None:
        self._over.set()


def _take_all(broker: Broker, queue: str) -> list[str]:
    with broker.channel() as channel:
        return [message.body for message in iter(lambda: channel.basic_get(queue, no_ack=True), None)]


def test_messages_published_during_the_move_reach_every_bound_queue(old: Broker):
    before = _bindings(old)
    publisher = _Publisher(old)
    with ThreadPoolExecutor(len(WANTED)) as pool:
        publishing = [pool.submit(publisher.publish, address) for address in WANTED]
        try:
            wait_until(lambda: len(publisher.confirmed) == len(WANTED), what="publishers at work")
            assert _move(old) == [spec.name for spec in TOPOLOGY.exchanges if spec.name in CHANGED]
            counts = {address: len(publisher.confirmed[address]) for address in WANTED}
            wait_until(lambda: all(len(publisher.confirmed[at]) > counts[at] for at in WANTED), what="news")
        finally:
            publisher.stop()
        for task in publishing:
            task.result()
    assert declare.differences(TOPOLOGY, old.api) == []
    assert _bindings(old) == before
    arrived = {queue: _take_all(old, queue) for queue in {queue for queues in WANTED.values() for queue in queues}}
    # The moment in which an old exchange was deleted, if a message met it.
    kept = set(arrived[topology.UNROUTABLE_QUEUE])
    for address, queues in WANTED.items():
        for queue in queues:
            assert set(publisher.confirmed[address]) <= {*arrived[queue], *kept}, (address, queue)
    for queue, bodies in arrived.items():
        assert len(bodies) == len(set(bodies)), queue


@pytest.mark.parametrize("step", ["_hand_over", "_take_back", "exchange_delete", "policy_delete"])
def test_a_move_that_was_interrupted_is_finished_by_the_next(
    old: Broker, start_process: StartProcess, step: str, monkeypatch: pytest.MonkeyPatch
):
    before = _bindings(old)
    with monkeypatch.context() as patch:
        _interrupt(patch, step)
        with pytest.raises(ConnectionError):
            _move(old)
    assert any("is left over from an interrupted move" in line for line in declare.differences(TOPOLOGY, old.api))
    if step == "_take_back":
        # Declaring would bind the queues of an exchange one after the other.
        process = start_process("manage.py", "setup_broker")
        assert process.wait() == 1
        assert "run setup_broker --migrate again" in process.log()
    wait_until(lambda: _next_run(old), what="a run that is not locked out by the dead one")
    assert declare.differences(TOPOLOGY, old.api) == []
    assert _bindings(old) == before


def _interrupt(patch: pytest.MonkeyPatch, step: str) -> None:
    """Break the connection before a step, of the first exchange or of a later one."""
    target, skip = {
        "_hand_over": (ExchangeMover, 1),
        "_take_back": (ExchangeMover, 0),
        "exchange_delete": (amqp.Channel, 1),
        "policy_delete": (policies, 2),
    }[step]
    stock, calls = getattr(target, step), iter(range(skip))

    def breaking(*args: object, **options: object) -> object:
        if next(calls, None) is None:
            raise ConnectionError(step)
        return stock(*args, **options)

    patch.setattr(target, step, breaking)


def _next_run(broker: Broker) -> list[str]:
    with suppress(BrokerChangeRefused):
        return _move(broker)
    return []


def test_a_queue_that_its_owner_alone_may_bind_stops_the_move_before_it_begins(old: Broker):
    with old.channel() as owner:
        owner.queue_declare("private_queue", exclusive=True)
        owner.queue_bind("private_queue", topology.EVENTS_EXCHANGE, "#")
        before = _bindings(old)
        with pytest.raises(BrokerChangeRefused, match="private_queue; stop those programs"):
            _move(old)
        assert _bindings(old) == before
    wait_until(lambda: _next_run(old))


def test_a_policy_of_higher_priority_stops_the_move_before_it_begins(old: Broker):
    stronger = topology.PolicySpec("stronger", (topology.EVENTS_EXCHANGE,), OLD, priority=5_000)
    policies.policy_set(stronger, old.api)
    try:
        before = _bindings(old)
        with pytest.raises(BrokerChangeRefused, match="follows the policy 'stronger'"):
            _move(old)
        assert _bindings(old) == before
    finally:
        policies.policy_delete(stronger, old.api)
    wait_until(lambda: _next_run(old))


def test_a_user_who_may_not_set_policies_gets_the_reason_before_anything_changes(
    old: Broker, modest_api: ManagementApi
):
    before = _bindings(old)
    with pytest.raises(BrokerChangeRefused, match="as a user with the tag policymaker"):
        _move(old, modest_api)
    assert _bindings(old) == before


def test_an_old_exchange_is_named_with_the_remedy(old: Broker, start_process: StartProcess):
    found = "\n".join(declare.differences(TOPOLOGY, old.api))
    assert "exchange events_exchange has alternate-exchange=unroutable_exchange, not (none): programs that" in found
    assert "setup_broker --migrate recreates the exchange and loses no message" in found
    process = start_process("manage.py", "setup_broker", "--migrate")
    assert process.wait() == 0
    assert "replaced: 4 exchanges, 0 queues" in process.log()
