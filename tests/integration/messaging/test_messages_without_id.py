"""Two messages of the same content without ids are two; one that is delivered again is one."""

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from messaging.broker import topology
from messaging.consuming import batch_execution, copies
from messaging.consuming.execution import consume, handle_message
from messaging.consuming.subscriptions import handle_batch, subscription_of
from messaging.database.clock import database_clock
from messaging.dead_letters.archive import archive_all
from messaging.messages import ReceivedMessage
from messaging.models import DeadLetter, HandledCopy
from notifier.models import Channel, Notification, Rule

pytestmark = pytest.mark.django_db

QUEUE, KEY = topology.NOTIFIER_QUEUE, "billing.crash"
BODY = json.dumps({"reason": "out of memory"}).encode()


@pytest.fixture(autouse=True)
def channel() -> Channel:
    channel = Channel.objects.create(name="Team", kind="file", address="/dev/null")
    Rule.objects.create(channel=channel, pattern="#")
    return channel


def _message(
    deliveries: int = 0, *, body: bytes = BODY, routing_key: str = KEY, message_id: str | None = None
) -> ReceivedMessage:
    """As a worker passes it on that gets it for the first time, or after another one that died."""
    given_id = None if message_id else str(uuid.uuid4())
    return ReceivedMessage(QUEUE, topology.EVENTS_EXCHANGE, routing_key, body, {}, message_id, given_id, deliveries)


def _alone(*messages: ReceivedMessage) -> None:
    for message in messages:
        handle_message(subscription_of(QUEUE), message)


def _together(*messages: ReceivedMessage) -> None:
    batch = [
        (
            message.exchange,
            message.routing_key,
            message.body,
            dict(message.headers),
            message.message_id,
            message.given_id,
            message.deliveries,
        )
        for message in messages
    ]
    assert handle_batch(QUEUE, batch) == set()


def _together_with_a_commit_each(*messages: ReceivedMessage) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_execution, "COMMIT_AFTER_SECONDS", 0.0)
        _together(*messages)


HANDLE = pytest.mark.parametrize("handle", [_alone, _together, _together_with_a_commit_each])
Handle = Callable[..., None]


@HANDLE
def test_two_equal_crashes_are_two_notifications(handle: Handle):
    handle(_message(), _message())
    handle(_message())
    assert Notification.objects.count() == 3


@HANDLE
def test_another_delivery_of_what_was_handled_adds_nothing(handle: Handle):
    handle(_message())
    for deliveries in (1, 2, 3):
        handle(_message(deliveries))
    assert Notification.objects.count() == 1


@HANDLE
def test_what_was_delivered_and_never_handled_is_handled(handle: Handle):
    handle(_message(1))
    handle(_message(2))
    assert Notification.objects.count() == 1


@HANDLE
def test_each_handled_copy_stands_for_one_message(handle: Handle):
    handle(_message(), _message())
    # Both come back, and with them a third one that nobody had handled yet.
    handle(_message(1), _message(1), _message(1))
    assert Notification.objects.count() == 3
    handle(_message(2), _message(2), _message(2))
    assert Notification.objects.count() == 3


def test_a_copy_of_long_ago_is_not_what_comes_back():
    _alone(_message())
    HandledCopy.objects.update(handled_at=database_clock() - timedelta(seconds=copies.KNOWN_SECONDS + 1))
    _alone(_message(1))
    assert Notification.objects.count() == 2


def test_another_queue_key_or_body_is_another_content():
    _alone(_message())
    _alone(_message(1, body=BODY + b" "), _message(1, routing_key="billing.error"))
    HandledCopy.objects.update(subscription="another_queue")
    _alone(_message(1))
    assert Notification.objects.count() == 4


@HANDLE
@pytest.mark.parametrize("parts", [{"message_id": "order 66"}, {"body": b'{"id": "%s"}' % str(uuid.uuid4()).encode()}])
def test_an_id_of_its_own_is_what_counts(handle: Handle, parts: dict[str, Any]):
    body = {"reason": "x", **json.loads(parts.get("body", b"{}"))}
    parts = {**parts, "body": json.dumps(body).encode()}
    handle(_message(**parts), _message(**parts))
    handle(_message(1, **parts))
    assert Notification.objects.count() == 1
    assert not HandledCopy.objects.exists()


def test_a_failed_one_is_delivered_again_as_if_it_had_never_come(monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr("notifier.notifications.recording.title_of", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            _alone(_message())
    _alone(_message(1))
    assert Notification.objects.count() == 1


def _dead(deliveries: int = 0) -> ReceivedMessage:
    death = {
        "queue": QUEUE,
        "reason": "rejected",
        "exchange": topology.EVENTS_EXCHANGE,
        "routing-keys": [KEY],
        "count": 1,
        "time": 1_700_000_000,
    }
    address = (topology.DEAD_LETTER_ARCHIVE_QUEUE, topology.EVENTS_DLX, "notifier.failed")
    return ReceivedMessage(*address, b"{nope", {"x-death": [death]}, None, str(uuid.uuid4()), deliveries)


def test_two_equal_dead_messages_are_two_dead_letters_with_their_reason():
    for _ in range(2):
        with pytest.raises(Exception, match="UndecodableMessage"):
            consume(subscription_of(QUEUE), _message(body=b"{nope"))
    archive_all([_dead(), _dead()], unroutable=False)
    letters = list(DeadLetter.objects.all())
    assert [letter.count for letter in letters] == [1, 1]
    assert all("not JSON" in letter.error for letter in letters)


def test_a_dead_message_is_archived_once_though_its_archiver_died():
    archive_all([_dead()], unroutable=False)
    archive_all([_dead(1)], unroutable=False)
    assert DeadLetter.objects.get().count == 1


def test_two_equal_unroutable_messages_are_two_dead_letters():
    archive_all([_message(), _message()], unroutable=True)
    archive_all([_message(1)], unroutable=True)
    assert [letter.count for letter in DeadLetter.objects.all()] == [1, 1]
