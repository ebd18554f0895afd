"""The main loops of beat, relay and workers note their turns, for the heartbeats of their processes."""

from threading import Event

import psycopg
import pytest
from django_celery_beat.schedulers import DatabaseScheduler

from coolthing_site.processes.beat_scheduler import PatientScheduler
from messaging.consuming.consumer import EventConsumer
from messaging.instrumentation import main_loop
from messaging.publishing import relay
from messaging.publishing.outbox_publisher import OutboxPublisher
from messaging.publishing.relay import Relay


@pytest.fixture(autouse=True)
def _nothing_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_loop, "_turned_at", None)


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> PatientScheduler:
    for name, result in (("tick", 5.0), ("apply_entry", None), ("setup_schedule", None)):
        monkeypatch.setattr(DatabaseScheduler, name, lambda *_, result=result, **__: result)
    made = object.__new__(PatientScheduler)
    made._stopped = Event()
    return made


def noted() -> bool:
    return main_loop.seconds_since_turn() is not None


def test_a_tick_of_beat_is_a_turn(scheduler: PatientScheduler):
    scheduler.tick()
    assert noted()


def test_each_task_that_beat_sends_is_a_turn(scheduler: PatientScheduler):
    scheduler.apply_entry(object())
    assert noted()


def test_beat_that_waits_for_the_broker_does_not_hang(scheduler: PatientScheduler):
    scheduler._broker_is_down(ConnectionRefusedError(), 2)
    assert noted()


def test_a_relay_that_waits_for_the_database_does_not_hang(monkeypatch: pytest.MonkeyPatch):
    stop = Event()

    def is_away(_: str) -> None:
        stop.set()
        raise psycopg.OperationalError("away")

    monkeypatch.setattr(relay, "connect_direct", is_away)
    monkeypatch.setattr("messaging.publishing.relay.gc.freeze", lambda: None)
    Relay(stop, lambda _: None).run()
    assert noted()


def test_each_turn_of_the_publisher_is_noted(monkeypatch: pytest.MonkeyPatch):
    publisher, stop = object.__new__(OutboxPublisher), Event()
    for name in ("_look_back", "_await_last_confirms"):
        monkeypatch.setattr(OutboxPublisher, name, lambda *_: None)
    monkeypatch.setattr(OutboxPublisher, "_turn", lambda *_: stop.set())
    publisher._stop, publisher._in_flight = stop, {}
    publisher.run(object())  # type: ignore[arg-type]  # nothing is sent
    assert noted()


def test_each_turn_of_a_workers_loop_is_noted_and_nothing_is_expected_after_its_end():
    consumer = object.__new__(EventConsumer)

    def loop() -> None:
        consumer._dispatch()
        assert noted()
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        main_loop.paused_after(loop)()
    assert not noted()
