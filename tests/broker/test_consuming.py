"""Messages of every kind on a real broker, against a real worker."""

import json
import os
import signal
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from messaging.broker import topology
from messaging.consuming.amqp_message import request_ids
from messaging.models import DeadLetter, HandlingFailure
from tests.broker import probe
from tests.broker.conftest import Probe, StartProcess
from tests.broker.probe import KEY, PROBE_DLQ, PROBE_EXCHANGE, PROBE_QUEUE, ProbeHappened
from tests.private import Broker
from tests.support import wait_until
from tests.tcp_proxy import TcpProxy


def _publish(probed: Probe, event: ProbeHappened, **properties: Any) -> None:
    probed.broker.publish(PROBE_EXCHANGE, KEY, event.to_json().encode(), **properties)


def _task_id(event: ProbeHappened) -> str:
    return request_ids(PROBE_QUEUE, PROBE_EXCHANGE, KEY, event.to_json().encode(), {}, None)[1]


def _still_works(probed: Probe) -> bool:
    event = ProbeHappened()
    _publish(probed, event)
    return bool(wait_until(lambda: probed.effects(event.id) == 1, what="the next event's effect"))


def test_bare_json_without_any_properties_is_handled_also_when_it_is_published_straight_to_the_queue(probed: Probe):
    worker = probed.start_worker()
    straight = [("", PROBE_QUEUE), (topology.TASKS_EXCHANGE, PROBE_QUEUE)]
    ids = {uuid.uuid4(): address for address in ((PROBE_EXCHANGE, KEY), *straight)}
    for event_id, address in ids.items():
        probed.broker.publish(*address, json.dumps({"id": str(event_id)}).encode())
    probed.settle(worker, PROBE_QUEUE, handled=3)
    assert [probed.effects(event_id) for event_id in ids] == [1, 1, 1]


def test_equal_messages_without_ids_are_handled_each_and_once_though_an_acknowledgement_is_lost(probed: Probe):
    def effects() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM probe_effect")
            return int(cursor.fetchone()[0])

    with TcpProxy.before(probed.broker.url) as network:
        worker = probed.start_worker("--concurrency=1", RABBITMQ_URL=network.url(probed.broker.url))
        with probed.locked():
            probed.broker.publish(PROBE_EXCHANGE, KEY, b'{"text": "hold"}')
            wait_until(lambda: probed.waiting() == 1)
            network.freeze()
        wait_until(lambda: effects() == 1, what="the first one's effect")
        network.reset()
        network.restore()
        wait_until(lambda: worker.log().count(" succeeded in ") == 2, what="its second delivery")
        assert effects() == 1
        probed.broker.publish(PROBE_EXCHANGE, KEY, b'{"text": "hold"}')
        probed.settle(worker, PROBE_QUEUE, handled=3)
    assert effects() == 2


def test_a_celery_task_message_on_the_same_queue_is_handled(probed: Probe):
    probed.start_worker()
    event = ProbeHappened()
    probe.app.send_task("tests.probe.record", args=(PROBE_EXCHANGE, KEY, event.to_json()), queue=PROBE_QUEUE)
    wait_until(lambda: probed.effects(event.id) == 1)


POISON = {
    "empty": (b"", KEY, {}, "the body is empty"),
    "not utf-8": (b'{"text": "\xff\xfe"}', KEY, {}, "not UTF-8"),
    "not utf-8, with an encoding": (b"\xff\xfe", KEY, {"content_encoding": "utf-8"}, "not UTF-8"),
    "not json": (b"{nope", KEY, {}, "not JSON"),
    "deeply nested": (b"[" * 100_000 + b"]" * 100_000, KEY, {}, "not JSON"),
    "not an object": (b"[1, 2]", KEY, {}, "not an object"),
    "an unknown type": (b"{}", "probe.unheard", {}, "no event has the routing key"),
    "a wrong field": (b'{"text": 5}', KEY, {}, "text: Input should be a valid string"),
    "nul in a text": (b'{"text": "a\\u0000b"}', KEY, {}, "text: contains a NUL character"),
    "a broken compression": (b"{}x", KEY, {"application_headers": {"compression": "application/x-gzip"}}, "not JSON"),
    "an unknown content type": (b"{x", KEY, {"content_type": "application/x-python-serialize"}, "not JSON"),
}


@pytest.mark.parametrize(("body", "key", "properties", "error"), POISON.values(), ids=POISON.keys())
def test_a_poison_body_is_dead_lettered_and_archived_and_the_worker_lives(probed: Probe, body, key, properties, error):
    probed.start_worker()
    probed.start_archiver()
    probed.broker.publish(PROBE_EXCHANGE, key, body, **properties)
    letter = wait_until(lambda: DeadLetter.objects.first(), what="the archived letter")
    assert (letter.queue, letter.exchange, letter.routing_key) == (PROBE_QUEUE, PROBE_EXCHANGE, key)
    assert letter.reason == "rejected"
    assert error in letter.error
    assert "Traceback" in letter.traceback
    wait_until(lambda: probed.broker.ready(PROBE_DLQ) == 1, what="the onlookers' copy")
    assert probed.broker.take(PROBE_DLQ).body in (body, body.decode("utf-8", "replace"))
    assert _still_works(probed)


def test_bodies_of_10_mb_or_of_a_later_version_are_dead_lettered_and_unknown_fields_are_not(probed: Probe):
    worker = probed.start_worker()
    probed.start_archiver()
    large, later, newer = uuid.uuid4(), ProbeHappened(), uuid.uuid4()
    body = json.dumps({"id": str(large), "text": "x" * 10_000_000}).encode()
    probed.broker.publish(PROBE_EXCHANGE, KEY, body, message_id=str(large))
    _publish(probed, later, application_headers={topology.VERSION_HEADER: "2.0"})
    fields = {"id": str(newer), "mood": [[{"deep": ["down"]}]]}
    headers = {topology.VERSION_HEADER: "1.4"}
    probed.broker.publish(PROBE_EXCHANGE, KEY, json.dumps(fields).encode(), application_headers=headers)
    wait_until(lambda: DeadLetter.objects.count() == 2, what="two archived letters")
    errors = {letter.event_id: letter.error for letter in DeadLetter.objects.all()}
    assert "the maximum is 1048576" in errors[large]
    assert "the message has version 2" in errors[later.id]
    wait_until(lambda: probed.effects(newer) == 1)
    assert worker.is_running()


def test_headers_of_half_a_celery_task_do_no_harm(probed: Probe):
    probed.start_worker()
    event = ProbeHappened()
    _publish(probed, event, application_headers={"task": "tests.probe.record"})
    wait_until(lambda: probed.effects(event.id) == 1)
    broken = {"task": "tests.probe.record", "id": "x", "eta": "never"}
    _publish(probed, ProbeHappened(), application_headers=broken, content_type="application/json")
    wait_until(lambda: probed.broker.ready(PROBE_DLQ) == 1)
    assert _still_works(probed)


def test_a_failing_handler_leaves_no_effect_but_its_error(probed: Probe):
    probed.start_worker()
    probed.start_archiver()
    event = ProbeHappened(text="fail")
    _publish(probed, event)
    letter = wait_until(lambda: DeadLetter.objects.filter(event_id=event.id).first())
    assert letter.error == "ValueError: this event always fails"
    assert "probe.py" in letter.traceback
    assert letter.body == event.to_json()
    assert letter.x_death[0]["queue"] == PROBE_QUEUE
    assert probed.effects(event.id) == 0
    assert HandlingFailure.objects.count() == 1


def test_a_killed_child_gives_the_event_back_and_its_effect_happens_once(probed: Probe):
    worker = probed.start_worker()
    event = ProbeHappened(text="hold")
    with probed.locked():
        _publish(probed, event)
        wait_until(lambda: probed.waiting() == 1)
        for child in worker.children():
            os.kill(child, signal.SIGKILL)
        worker.wait_for_log("WorkerLostError")
    probed.settle(worker, PROBE_QUEUE, handled=1)
    assert probed.effects(event.id) == 1
    assert probed.broker.ready(PROBE_DLQ) == 0


def test_a_child_that_dies_before_the_worker_has_reached_the_broker_is_replaced(probed: Probe):
    with TcpProxy.before(probed.broker.url) as network:
        network.cut()
        away = network.url(probed.broker.url)
        worker = probed.start_worker("--concurrency=1", until="Cannot connect to", RABBITMQ_URL=away)
        [child] = worker.children()
        os.kill(child, signal.SIGKILL)
        network.restore()
        event = ProbeHappened()
        _publish(probed, event)
        probed.settle(worker, PROBE_QUEUE, handled=1)
    assert probed.effects(event.id) == 1


def test_a_killed_worker_gives_the_event_to_another_one(probed: Probe):
    first = probed.start_worker(name="first")
    event = ProbeHappened(text="hold")
    with probed.locked():
        _publish(probed, event)
        wait_until(lambda: probed.waiting() == 1)
        first.kill()
        second = probed.start_worker(name="second")
    probed.settle(second, PROBE_QUEUE, handled=1)
    assert probed.effects(event.id) == 1


def test_two_copies_at_the_same_time_have_one_effect(probed: Probe):
    worker = probed.start_worker()
    event = ProbeHappened(text="hold")
    with probed.locked():
        _publish(probed, event)
        _publish(probed, event)
        wait_until(lambda: probed.waiting() == 1)
        wait_until(lambda: probed.broker.ready(PROBE_QUEUE) == 0)
    probed.settle(worker, PROBE_QUEUE, handled=2)
    assert probed.effects(event.id) == 1


def test_a_revoked_event_is_dead_lettered_not_acknowledged(probed: Probe):
    worker = probed.start_worker()
    probed.start_archiver()
    event = ProbeHappened()
    probe.app.control.revoke(_task_id(event))
    worker.wait_for_log("flagged as revoked")
    _publish(probed, event)
    letter = wait_until(lambda: DeadLetter.objects.filter(event_id=event.id).first())
    assert "revoked" in letter.error
    assert probed.effects(event.id) == 0
    _publish(probed, event)
    wait_until(lambda: probed.effects(event.id) == 1, what="the effect of a second copy: the revocation is used up")


def test_a_terminated_event_is_dead_lettered_not_acknowledged(probed: Probe):
    worker = probed.start_worker()
    event = ProbeHappened(text="hold")
    with probed.locked():
        _publish(probed, event)
        wait_until(lambda: probed.waiting() == 1)
        probe.app.control.revoke(_task_id(event), terminate=True, signal="SIGKILL")
        wait_until(lambda: probed.broker.ready(PROBE_DLQ) == 1)
    assert worker.is_running()
    assert probed.effects(event.id) == 0


def test_an_expired_task_message_is_dead_lettered_not_acknowledged(probed: Probe):
    probed.start_worker()
    event = ProbeHappened()
    probe.app.send_task(
        "tests.probe.record",
        args=(PROBE_EXCHANGE, KEY, event.to_json()),
        queue=PROBE_QUEUE,
        expires=timezone.now() - timedelta(seconds=60),
    )
    wait_until(lambda: probed.broker.ready(PROBE_DLQ) == 1)
    assert probed.effects(event.id) == 0


def test_task_events_show_the_event_as_root_and_hide_its_text(probed: Probe):
    seen: list[dict[str, Any]] = []
    event = ProbeHappened(text="a secret")
    probed.start_worker()
    with probe.app.connection_for_read() as connection:
        receiver = probe.app.events.Receiver(connection, handlers={"*": seen.append})
        with receiver.consumer_context() as (watched, _, _):
            _publish(probed, event)

            def has_succeeded() -> bool:
                try:
                    watched.drain_events(timeout=1)
                except TimeoutError:
                    pass
                return any(item["type"] == "task-succeeded" for item in seen)

            wait_until(has_succeeded)
    received = next(item for item in seen if item["type"] == "task-received")
    assert received["uuid"] == _task_id(event)
    assert received["root_id"] == str(event.id)
    assert received["name"] == "tests.probe.record"
    assert KEY in received["args"]
    assert "a secret" not in json.dumps(seen)


def test_a_worker_whose_queue_has_no_subscriber_ends_with_the_reason(broker: Broker, start_process: StartProcess):
    worker = start_process(
        "celery", "-A", "tests.broker.unsubscribed", "worker", "-Q", topology.LLM_QUEUE, "--concurrency=1"
    )
    assert worker.wait() != 0
    assert "llm_queue is handled by the task nobody.has_this, which no installed app registers" in worker.log()
