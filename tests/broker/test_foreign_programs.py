"""Programs that know nothing of this code base declare, bind and publish as any AMQP client does."""

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import amqp
import pytest
from django.conf import settings

from messaging.broker import topology
from tests.private import Broker
from tests.support import ROOT

EXCHANGES = [topology.SCRIPTS_EXCHANGE, topology.LEADS_EXCHANGE, topology.EVENTS_EXCHANGE]
KEYS = {
    topology.SCRIPTS_EXCHANGE: ("admin.script_created", topology.SCRIPTS_QUEUE),
    topology.LEADS_EXCHANGE: (f"lead.{uuid.uuid4()}", topology.LEADS_QUEUE),
    topology.EVENTS_EXCHANGE: ("billing.crash", topology.NOTIFIER_QUEUE),
}
PAGE = (ROOT / "docs/bus.md").read_text()
# The arguments of each call in the page's samples: a passive declaration is said by a name or an argument.
_DECLARED = re.compile(r"\w+\.(?:exchange_declare|assertExchange|exchangeDeclare|check\w+|\w+Passive)\(\"(\w+)\".*")
_PASSIVE = re.compile(r"passive=True|check|Passive")
_QUEUE = re.compile(r"(?:queue_declare|assertQueue|queueDeclare)\(\"([\w.]+)\"")
_BOUND = re.compile(r"(?:queue_bind|bindQueue|queueBind)\(\"([\w.]+)\", \"(\w+)\", \"([^\"]+)\"")
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


@pytest.mark.parametrize("language", ["python", "javascript", "java"])
def test_a_user_with_the_permissions_of_the_page_may_do_what_its_samples_do(broker: Broker, language: str):
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    (declared,), (queue,) = _DECLARED.finditer(found[1]), _QUEUE.findall(found[1])
    [(bound, source, pattern)] = _BOUND.findall(found[1])
    assert bound == queue
    key, ours = KEYS[declared[1]]
    with _as_the_page_says(broker) as connection:
        channel = connection.channel()
        channel.exchange_declare(
            declared[1], "topic", passive=bool(_PASSIVE.search(declared[0])), durable=True, auto_delete=False
        )
        channel.queue_declare(queue, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
        try:
            channel.queue_bind(queue, source, pattern)
            channel.confirm_select()
            channel.basic_publish_confirm(amqp.Message("{}"), exchange=declared[1], routing_key=key)
            broker.publish(source, pattern.replace("*", "some"), b"{}")
            assert channel.basic_get(queue, no_ack=True) is not None
        finally:
            channel.queue_delete(queue)
    assert broker.take(ours).body == "{}"


@contextmanager
def _as_the_page_says(broker: Broker) -> Iterator[amqp.Connection]:
    """A connection of a user with the permissions that the page gives to other programs."""
    found = re.search(r"set_permissions .*\n *'(\S+)' '(\S+)' '(\S+)'", PAGE)
    assert found
    name, password = f"billing-{broker.api.vhost}", uuid.uuid4().hex
    broker.api.call("PUT", f"users/{name}", {"password": password, "tags": ""})
    try:
        permissions = dict(zip(("configure", "write", "read"), found.groups(), strict=True))
        broker.api.call("PUT", f"permissions/{broker.api.vhost}/{name}", permissions)
        at = urlsplit(settings.RABBITMQ_URL)
        with amqp.Connection(f"{at.hostname}:{at.port}", name, password, virtual_host=broker.api.vhost) as connection:
            yield connection
    finally:
        broker.api.call("DELETE", f"users/{name}")
