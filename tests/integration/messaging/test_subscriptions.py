"""A handler's effects and the record that it ran are one; a failing database is no failure of the message."""

import threading
import uuid
from collections.abc import Iterator, Sequence

import pytest
from celery import current_app
from celery.exceptions import Reject
from django.contrib.auth.models import Group
from django.db import OperationalError, connection, transaction

from messaging.broker import topology
from messaging.consuming import failures, subscriptions
from messaging.consuming.subscriptions import handle, subscriber
from messaging.events import Event, UndecodableMessage
from messaging.messages import ReceivedMessage
from messaging.models import HandlingFailure, ProcessedEvent

QUEUE, EXCHANGE, KEY = "grouping_queue", "grouping_exchange", "group.named"
TASK = "tests.grouping.named"


class GroupNamed(Event, exchange=EXCHANGE, key=KEY):
    name: str


class GroupClosed(Event, exchange=EXCHANGE, key="group.closed"):
    pass


class ChosenEffects:
    """What the handler shall do besides its effect."""

    def __init__(self) -> None:
        self.raises: list[Exception] = []
        self.meeting: threading.Barrier | None = None


@pytest.fixture
def effects() -> Iterator[ChosenEffects]:
    chosen = ChosenEffects()
    topology.SUBSCRIPTIONS[QUEUE] = TASK

    @subscriber(QUEUE, name=TASK)
    def name_group(event: GroupNamed) -> None:
        Group.objects.create(name=event.name)
        if chosen.raises:
            raise chosen.raises.pop(0)

    yield chosen
    del topology.SUBSCRIPTIONS[QUEUE], subscriptions._subscriptions[QUEUE]
    for name in (TASK, f"{TASK}.many"):
        current_app.tasks.unregister(name)


def _run(body: bytes, key: str = KEY) -> None:
    """As a worker's child runs it."""
    current_app.tasks[TASK].run(EXCHANGE, key, body, {}, None)


def _gives_back(reject: Reject) -> bool:
    """Whether the message returns to its queue."""
    return bool(vars(reject)["requeue"])


def test_a_second_copy_does_nothing(db: None, effects: ChosenEffects):
    event = GroupNamed(name="a")
    for _ in range(2):
        handle(QUEUE, EXCHANGE, KEY, event.to_json().encode())
    assert Group.objects.count() == 1
    assert ProcessedEvent.objects.get().event_id == event.id


def test_two_copies_at_once_have_one_effect(transactional_db: None, effects: ChosenEffects):
    body = GroupNamed(name="a").to_json().encode()
    start = threading.Barrier(4)

    def deliver() -> None:
        start.wait(60)
        try:
            _run(body)
        finally:
            connection.close()

    threads = [threading.Thread(target=deliver) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert Group.objects.count() == 1


def test_a_failing_handler_leaves_no_effect_and_no_record_but_its_reason(
    transactional_db: None, effects: ChosenEffects
):
    effects.raises.append(ValueError("bad luck\0 and more"))
    event = GroupNamed(name="a")
    with pytest.raises(Reject) as rejected:
        _run(event.to_json().encode())
    assert _gives_back(rejected.value) is False
    assert not Group.objects.exists()
    assert not ProcessedEvent.objects.exists()
    failure = HandlingFailure.objects.get()
    assert failure.error == "ValueError: bad luck\\x00 and more"
    assert "name_group" in failure.traceback
    _run(event.to_json().encode())
    assert Group.objects.count() == 1


def test_a_failing_database_is_waited_for(transactional_db: None, effects: ChosenEffects):
    effects.raises += [OperationalError("deadlock detected"), OperationalError("connection lost")]
    _run(GroupNamed(name="a").to_json().encode())
    assert Group.objects.count() == 1
    assert not HandlingFailure.objects.exists()


def test_a_connection_killed_by_the_server_is_replaced(transactional_db: None, effects: ChosenEffects):
    with connection.cursor() as cursor, pytest.raises(OperationalError):
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    _run(GroupNamed(name="a").to_json().encode())
    assert Group.objects.count() == 1


def test_a_database_that_stays_away_gives_the_message_back(
    transactional_db: None, effects: ChosenEffects, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(failures, "DATABASE_PATIENCE_SECONDS", 0.3)
    effects.raises += [OperationalError("away")] * 50
    with pytest.raises(Reject) as rejected:
        _run(GroupNamed(name="a").to_json().encode())
    assert _gives_back(rejected.value) is True
    assert not HandlingFailure.objects.exists()


def test_an_event_of_another_kind_is_refused(transactional_db: None, effects: ChosenEffects):
    with pytest.raises(UndecodableMessage, match="handles GroupNamed, not GroupClosed"):
        handle(QUEUE, EXCHANGE, "group.closed", b"{}")


def test_a_replay_is_decoded_by_its_original_type(db: None, effects: ChosenEffects):
    known = uuid.uuid4()
    headers = {
        topology.ORIGINAL_EXCHANGE_HEADER: EXCHANGE,
        topology.ORIGINAL_ROUTING_KEY_HEADER: KEY,
        topology.EVENT_ID_HEADER: str(known),
    }
    handle(QUEUE, topology.TASKS_EXCHANGE, QUEUE, b'{"name": "a"}', headers)
    assert Group.objects.count() == 1
    assert ProcessedEvent.objects.get().event_id == known


def test_handlers_declare_which_event_they_take(effects: ChosenEffects):
    def takes_anything(event):
        """No annotation."""

    with pytest.raises(TypeError, match="one annotated event"):
        subscriber(QUEUE, name=TASK)(takes_anything)


def test_a_handler_for_a_queue_that_the_topology_gives_to_another_task_is_refused():
    with pytest.raises(LookupError):

        @subscriber(topology.SCRIPTS_QUEUE, name="another.task")
        def stray(event: GroupNamed) -> None: ...


def test_effects_commit_with_the_record(transactional_db: None, effects: ChosenEffects):
    with transaction.atomic():
        handle(QUEUE, EXCHANGE, KEY, GroupNamed(name="a").to_json().encode())
        transaction.set_rollback(True)
    assert (Group.objects.count(), ProcessedEvent.objects.count()) == (0, 0)


def _signatures() -> None:
    """Never called: mypy reports each of these `ignore`s that ignores nothing."""

    def takes_one(event: GroupNamed) -> None: ...

    def takes_many(events: Sequence[GroupNamed]) -> None: ...

    def takes_messages(messages: Sequence[ReceivedMessage]) -> None: ...

    subscriber(QUEUE, name=TASK)(takes_one)
    subscriber(QUEUE, name=TASK, batch=True)(takes_many)
    subscriber(QUEUE, name=TASK, batch=True, raw=True)(takes_messages)
    subscriber(QUEUE, name=TASK)(takes_many)  # type: ignore[type-var]
    subscriber(QUEUE, name=TASK, batch=True)(takes_one)  # type: ignore[arg-type]
    subscriber(QUEUE, name=TASK, batch=True)(takes_messages)  # type: ignore[type-var]
    subscriber(QUEUE, name=TASK, raw=True)(takes_messages)  # type: ignore[arg-type]
