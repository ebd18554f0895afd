"""A queue whose arguments changed is made anew on a real broker, and keeps its messages."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import amqp
import pytest

from coolthing_site import celery_app
from messaging.broker import declare, topology
from messaging.broker.declare import DeclarationRefused
from messaging.broker.queue_moves import FIGURES_SECONDS, QueueMover, queue_beside
from messaging.broker.queue_transport import QueueTransport
from messaging.errors import BrokerChangeRefused
from messaging.events import decode
from messaging.messages import ReceivedMessage
from messaging.publishing.publisher import BROKER_ERRORS
from parser.events import NewTargetMessage
from tests.broker.conftest import StartProcess
from tests.private import Broker
from tests.support import wait_until
from tests.tcp_proxy import TcpProxy

QUEUE = topology.LEADS_QUEUE
KEY = "lead.11111111-2222-3333-4444-555555555555"
OTHERWISE = {"x-queue-type": "quorum", "x-message-ttl": 3_600_000, "x-delivery-limit": 5}
# Nobody holds messages here, so nothing is to be waited for.
SHORTLY = 0.6
MANY = 450


@pytest.fixture
def changed(broker: Broker) -> Iterator[Broker]:
    """A broker whose leads_queue has other arguments than the topology says."""
    _declare_otherwise(broker)
    yield broker
    with broker.channel() as channel:
        for name in (QUEUE, queue_beside(QUEUE)):
            channel.queue_delete(name)


def _declare_otherwise(broker: Broker, arguments: dict[str, str | int] | None = None) -> None:
    with broker.channel() as channel:
        channel.queue_delete(QUEUE)
        channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments=arguments or OTHERWISE)
        for exchange, key in topology.TOPOLOGY.queue(QUEUE).all_bindings:
            channel.queue_bind(QUEUE, exchange, key)


def _mover(broker: Broker, url: str = "", seconds: float = SHORTLY) -> QueueMover:
    return QueueMover(topology.TOPOLOGY, broker.api, print, url=url or broker.url, figures_seconds=seconds)


def _move(broker: Broker, url: str = "", seconds: float = SHORTLY) -> list[str]:
    with _mover(broker, url, seconds) as mover:
        return mover.move_all()


def _body() -> bytes:
    fields = {"worker_id": "w", "campaign_id": "c", "chat_id": 1, "username": "u", "message": "привет"}
    return json.dumps({"id": str(uuid.uuid4()), **fields}, ensure_ascii=False).encode()


def _publish_many(broker: Broker, count: int = MANY) -> list[bytes]:
    bodies = [_body() for _ in range(count)]
    with broker.channel() as channel:
        channel.confirm_select()
        for body in bodies:
            message = amqp.Message(body, content_type="application/json", content_encoding="utf-8", delivery_mode=2)
            channel.basic_publish_confirm(message, exchange=topology.LEADS_EXCHANGE, routing_key=KEY)
    return bodies


def _take_all(broker: Broker) -> list[amqp.Message]:
    with broker.channel() as channel:
        channel.auto_decode = False
        return list(iter(lambda: channel.basic_get(QUEUE, no_ack=True), None))


def _matches_the_topology(broker: Broker) -> bool:
    return not declare.differences(topology.TOPOLOGY, broker.api)


def test_a_moved_queue_has_its_messages_in_order_and_the_right_arguments(changed: Broker):
    bodies = _publish_many(changed)
    assert _move(changed) == [QUEUE]
    assert _matches_the_topology(changed)
    assert [message.body for message in _take_all(changed)] == bodies
    assert queue_beside(QUEUE) not in [queue["name"] for queue in changed.api.in_vhost("queues")]


def test_a_moved_message_is_what_it_was(changed: Broker):
    properties: dict[str, Any] = {
        "content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2, "priority": 3,
        "correlation_id": "c", "reply_to": "r", "message_id": str(uuid.uuid4()), "type": "t", "app_id": "a",
        "application_headers": {"traceparent": "00-1-1-01", "x-death": [{"queue": "q", "count": 2}]},
    }  # fmt: skip
    body = json.dumps({"worker_id": "w", "campaign_id": "c", "chat_id": 1, "username": "u", "message": "x"}).encode()
    changed.publish(topology.LEADS_EXCHANGE, KEY, body, **properties)
    _move(changed)
    (found,) = _take_all(changed)
    own = {topology.ORIGINAL_EXCHANGE_HEADER: topology.LEADS_EXCHANGE, topology.ORIGINAL_ROUTING_KEY_HEADER: KEY}
    headers = found.properties.pop("application_headers")
    # The new queue's own count, which begins anew.
    assert headers.pop("x-delivery-count", 0) == 0
    assert headers == properties.pop("application_headers") | own
    assert found.properties == properties
    info = found.delivery_info
    arrived = ReceivedMessage(QUEUE, info["exchange"], info["routing_key"], found.body, headers, found.message_id)
    event = decode(*arrived.origin, found.body, message_id=arrived.stable_message_id)
    assert isinstance(event, NewTargetMessage)
    assert str(event.id) == properties["message_id"]


def test_work_queues_of_an_older_release_get_their_dead_letters_and_keep_their_tasks(broker: Broker):
    older = {"x-queue-type": "quorum", "x-delivery-limit": topology.DELIVERY_LIMIT}
    with broker.channel() as channel:
        for queue in topology.TASKS:
            channel.queue_delete(queue)
            channel.queue_declare(queue, durable=True, auto_delete=False, arguments=older)
            channel.queue_bind(queue, topology.TASKS_EXCHANGE, queue)
    sent = {
        queue: celery_app.send_task(tasks[0], args=["1"], expires=3600).id for queue, tasks in topology.TASKS.items()
    }
    assert sorted(_move(broker)) == sorted(topology.TASKS)
    assert _matches_the_topology(broker)
    for queue, task_id in sent.items():
        found = broker.take(queue)
        assert (found.headers["id"], found.headers["task"]) == (task_id, topology.TASKS[queue][0])
        assert json.loads(found.body)[0] == ["1"]
        assert found.headers["expires"] and int(found.properties["expiration"]) > 0


def test_what_is_published_meanwhile_arrives(changed: Broker):
    _publish_many(changed, 50)
    over, sent = threading.Event(), list[bytes]()

    def publish() -> None:
        while not over.is_set():
            sent.extend(_publish_many(changed, 20))

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        wait_until(lambda: sent, what="a publisher at work")
        assert _move(changed) == [QUEUE]
    finally:
        over.set()
        publisher.join()
    arrived = {message.body for message in _take_all(changed)}
    assert len(sent) >= 20
    assert arrived >= set(sent)
    assert changed.ready(topology.UNROUTABLE_QUEUE) == 0


@pytest.mark.parametrize("there", [queue_beside(QUEUE), QUEUE], ids=["on the way out", "on the way back"])
def test_a_move_that_was_interrupted_is_finished_by_the_next(
    changed: Broker, there: str, monkeypatch: pytest.MonkeyPatch
):
    bodies = _publish_many(changed)
    with TcpProxy.before(changed.url) as proxy, monkeypatch.context() as patch:
        patch.setattr(QueueTransport, "_publish", _cutting(proxy, there))
        with pytest.raises(BROKER_ERRORS):
            _move(changed, proxy.url(changed.url))
    assert 0 < changed.ready(there) < MANY
    assert not _matches_the_topology(changed)
    wait_until(lambda: _next_run(changed) == [QUEUE], what="a run that is not locked out by the dead one")
    assert _matches_the_topology(changed)
    # What was on its way when the connection broke may have come twice.
    assert list(dict.fromkeys(sorted(message.body for message in _take_all(changed)))) == sorted(bodies)


def _cutting(proxy: TcpProxy, there: str) -> Callable[[QueueTransport, Sequence[amqp.Message], str], None]:
    """Cut the network when the first messages have come there, and before they have left where they were.

    A cut from beside would have to find the one moment between the first message and the last.
    """
    publish = QueueTransport._publish

    def cutting(carrier: QueueTransport, messages: Sequence[amqp.Message], queue: str) -> None:
        publish(carrier, messages, queue)
        if queue == there:
            proxy.cut()

    return cutting


def _next_run(broker: Broker) -> list[str]:
    try:
        return _move(broker)
    except BrokerChangeRefused:
        return []


def _names(broker: Broker) -> list[str]:
    return [queue["name"] for queue in broker.api.in_vhost("queues")]


def test_the_check_names_what_an_interrupted_move_left(broker: Broker):
    with broker.channel() as channel:
        channel.queue_declare(
            queue_beside(QUEUE), durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"}
        )
    (line,) = declare.differences(topology.TOPOLOGY, broker.api)
    assert "is left over from an interrupted move" in line
    assert _move(broker) == [QUEUE]
    assert _matches_the_topology(broker)


def test_a_queue_with_consumers_is_left_alone(changed: Broker):
    bodies = _publish_many(changed, 3)
    with changed.channel() as worker:
        worker.basic_consume(QUEUE)
        with pytest.raises(BrokerChangeRefused, match="has 1 consumer: stop the workers of this queue"):
            _move(changed)
    assert not _matches_the_topology(changed)
    wait_until(lambda: changed.ready(QUEUE) == len(bodies))


def test_a_message_that_a_worker_still_handles_is_not_deleted_with_its_queue(changed: Broker):
    # A classic queue's consumers do not tell of messages that outlast them, as after a pause: only old figures do.
    _declare_otherwise(changed, {"x-queue-type": "classic"})
    bodies = _publish_many(changed, 3)
    with changed.channel() as worker:
        assert worker.basic_get(QUEUE) is not None
        with pytest.raises(BrokerChangeRefused, match="1 message of leads_queue is being handled"):
            _move(changed, seconds=FIGURES_SECONDS)
    wait_until(lambda: _next_run(changed) == [QUEUE], what="figures without that message")
    assert sorted(message.body for message in _take_all(changed)) == sorted(bodies)


def test_messages_that_the_move_itself_had_taken_when_the_broker_counted_do_not_stop_it(
    changed: Broker, monkeypatch: pytest.MonkeyPatch
):
    bodies = _publish_many(changed, 3)
    publish = QueueTransport._publish

    def counted(carrier: QueueTransport, messages: Sequence[amqp.Message], queue: str) -> None:
        wait_until(lambda: changed.api.queue(QUEUE).get("messages_unacknowledged"), what="a figure of what it holds")
        publish(carrier, messages, queue)
        monkeypatch.undo()

    monkeypatch.setattr(QueueTransport, "_publish", counted)
    assert _move(changed) == [QUEUE]
    assert [message.body for message in _take_all(changed)] == bodies


def test_only_one_moves_at_a_time(changed: Broker):
    with _mover(changed), pytest.raises(BrokerChangeRefused, match="another setup_broker --migrate is running"):
        _move(changed)
    assert _move(changed) == [QUEUE]


def test_a_binding_that_the_topology_does_not_know_stays(changed: Broker):
    with changed.channel() as channel:
        channel.queue_bind(QUEUE, topology.EVENTS_EXCHANGE, "somebody.elses")
    try:
        assert _move(changed) == [QUEUE]
        (line,) = declare.differences(topology.TOPOLOGY, changed.api)
        assert "queue leads_queue is bound to events_exchange by 'somebody.elses'" in line
    finally:
        with changed.channel() as channel:
            channel.queue_unbind(QUEUE, topology.EVENTS_EXCHANGE, "somebody.elses")


def test_an_exchange_that_is_otherwise_stops_everything_before_it_begins(changed: Broker):
    with changed.channel() as channel:
        channel.exchange_delete(topology.EVENTS_DLX)
        channel.exchange_declare(topology.EVENTS_DLX, "fanout", durable=True, auto_delete=False)
    try:
        with pytest.raises(DeclarationRefused, match="events_dlx"):
            _move(changed)
        assert queue_beside(QUEUE) not in _names(changed)
    finally:
        with changed.channel() as channel:
            channel.exchange_delete(topology.EVENTS_DLX)


def test_the_command_has_nothing_to_move_on_a_broker_that_matches_the_topology(
    broker: Broker, start_process: StartProcess
):
    process = start_process("manage.py", "setup_broker", "--migrate")
    assert process.wait() == 0
    assert process.log().strip() == "replaced: 0 exchanges, 0 queues; the broker matches the topology"
