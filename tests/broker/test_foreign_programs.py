"""Programs that know nothing of this code base declare, bind and publish as any AMQP client does."""

import json
import uuid

import amqp
import pytest

from messaging import topology
from tests.private import Broker

EXCHANGES = [topology.SCRIPTS_EXCHANGE, topology.LEADS_EXCHANGE, topology.EVENTS_EXCHANGE]
KEYS = {
    topology.SCRIPTS_EXCHANGE: ("admin.script_created", topology.SCRIPTS_QUEUE),
    topology.LEADS_EXCHANGE: (f"lead.{uuid.uuid4()}", topology.LEADS_QUEUE),
    topology.EVENTS_EXCHANGE: ("billing.crash", topology.NOTIFIER_QUEUE),
}
OWN_QUEUE = "own_queue_of_another_program"


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_what_another_program_publishes_to_it_declares_first(broker: Broker, exchange: str):
    key, queue = KEYS[exchange]
    body = json.dumps({"reason": "no money"})
    with broker.channel() as channel:
        channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
        channel.exchange_declare(exchange, "topic", passive=True)
        channel.confirm_select()
        channel.basic_publish_confirm(amqp.Message(body), exchange=exchange, routing_key=key)
    assert broker.take(queue).body == body


def test_the_notifier_gets_events_of_any_key(broker: Broker):
    keys = ["", "shutdown", "billing.paid", "eu.billing.crash"]
    for key in keys:
        broker.publish(topology.EVENTS_EXCHANGE, key, b"{}")
    assert [broker.take(topology.NOTIFIER_QUEUE).delivery_info["routing_key"] for _ in keys] == keys
    assert broker.ready(topology.UNROUTABLE_QUEUE) == 0


def test_another_program_binds_a_queue_of_its_own(broker: Broker):
    with broker.channel() as channel:
        channel.exchange_declare(topology.EVENTS_EXCHANGE, "topic", durable=True, auto_delete=False)
        channel.queue_declare(OWN_QUEUE, exclusive=True)
        channel.queue_bind(OWN_QUEUE, topology.EVENTS_EXCHANGE, "*.banned")
        channel.basic_publish(amqp.Message("{}"), exchange=topology.EVENTS_EXCHANGE, routing_key="bots.banned")
        channel.queue_declare(OWN_QUEUE, passive=True)
        assert channel.basic_get(OWN_QUEUE, no_ack=True) is not None
    assert broker.take(topology.NOTIFIER_QUEUE).body == "{}"


@pytest.mark.parametrize("exchange", [topology.SCRIPTS_EXCHANGE, topology.LEADS_EXCHANGE, topology.TASKS_EXCHANGE])
def test_what_no_queue_wants_is_kept(broker: Broker, exchange: str):
    broker.publish(exchange, "nobody.wants.this", b"{}")
    message = broker.take(topology.UNROUTABLE_QUEUE)
    assert (message.delivery_info["exchange"], message.delivery_info["routing_key"]) == (exchange, "nobody.wants.this")


def test_an_exchange_that_does_not_outlive_the_broker_is_refused(broker: Broker):
    with broker.channel() as channel, pytest.raises(amqp.PreconditionFailed, match="durable"):
        channel.exchange_declare(topology.EVENTS_EXCHANGE, "topic", durable=False, auto_delete=False)
