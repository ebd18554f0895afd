"""How a message looks to Celery: ids, bytes, and nothing of its text."""

import uuid

import pytest
from kombu import Message

from messaging.broker import topology
from messaging.consuming.amqp_message import deliveries, raw_body, request_ids
from messaging.consuming.consumer import present_as_task

QUEUE, EXCHANGE, KEY = "a_queue", "an_exchange", "a.key"


def _message(body: bytes | str, **properties: object) -> Message:
    return Message(
        body=body,
        delivery_info={"exchange": EXCHANGE, "routing_key": KEY, "consumer_tag": "1"},
        properties=properties,
        headers={"x": 1},
    )


def test_every_copy_of_an_event_has_one_task_id_a_queue():
    event = uuid.uuid4()
    body = f'{{"id": "{event}"}}'.encode()
    root, task = request_ids(QUEUE, EXCHANGE, KEY, body, {}, None)
    assert root == str(event)
    assert task == request_ids(QUEUE, EXCHANGE, KEY, body, {}, "another")[1]
    assert task != request_ids("another_queue", EXCHANGE, KEY, body, {}, None)[1]


def test_a_replay_keeps_the_event_and_has_a_task_id_of_its_own():
    first = request_ids(QUEUE, EXCHANGE, KEY, b"{}", {}, None)
    headers = {
        topology.ORIGINAL_EXCHANGE_HEADER: EXCHANGE,
        topology.ORIGINAL_ROUTING_KEY_HEADER: KEY,
        topology.EVENT_ID_HEADER: first[0],
        topology.REPLAY_HEADER: "once",
    }
    replayed = request_ids(QUEUE, topology.TASKS_EXCHANGE, QUEUE, b"{}", headers, None)
    assert replayed[0] == first[0]
    assert replayed[1] != first[1]


@pytest.mark.parametrize("body", [b"", b"\xff", b"{"])
def test_a_poison_body_still_gets_ids(body: bytes):
    root, task = request_ids(QUEUE, EXCHANGE, KEY, body, {}, None)
    assert uuid.UUID(root) and uuid.UUID(task)


def test_celery_sees_the_type_and_the_size_but_not_the_body():
    message = _message(b'{"text": "a secret"}', message_id="m")
    present_as_task(message, QUEUE, "some.task")
    assert message.headers["task"] == "some.task"
    assert "a secret" not in str(message.headers)
    # It came with a message id, so none was given to it, and for the first time.
    assert message.payload["args"] == (EXCHANGE, KEY, b'{"text": "a secret"}', {"x": 1}, "m", None, 0)


@pytest.mark.parametrize("body", [b"{}", "{}"])
def test_a_body_that_names_its_encoding_is_the_same_bytes(body: bytes | str):
    message = _message(body)
    message.content_encoding = "utf-8"
    assert raw_body(message) == b"{}"


@pytest.mark.parametrize(
    ("body", "encoding"), [("", "zlib"), ("tea", "idna"), ("tea", "undefined"), ("tea", "no such")]
)
def test_an_encoding_that_cannot_be_undone_does_not_end_the_consumer(body: str, encoding: str):
    message = _message(body)
    message.content_encoding = encoding
    present_as_task(message, QUEUE, "some.task")
    assert message.payload["args"][2] == body.encode()


@pytest.mark.parametrize(
    ("redelivered", "headers", "expected"),
    [
        (False, {"x-delivery-count": 3}, 0),
        (True, {}, 1),
        (True, {"x-delivery-count": "many"}, 1),
        (True, {"x-delivery-count": -1}, 1),
        (True, {"x-delivery-count": 2, "x-acquired-count": 3}, 3),
        (True, {"x-delivery-count": 2**63 - 1}, 2**31 - 1),
    ],
)
def test_how_often_it_was_delivered_is_known_on_a_queue_that_does_not_count(
    redelivered: bool, headers: dict[str, object], expected: int
):
    assert deliveries(Message(b"", delivery_info={"redelivered": redelivered}, headers=headers)) == expected
