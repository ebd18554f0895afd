"""What beat really stores and sends of the schedule."""

import signal
from typing import Any

import pytest
from django.db import OperationalError
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from coolthing_site import celery_app
from coolthing_site.processes.beat_schedule import PERIODS
from coolthing_site.processes.beat_scheduler import PatientScheduler


@pytest.mark.django_db(transaction=True)
def test_beat_stores_the_schedule_of_the_code_and_its_messages_expire():
    PeriodicTask.objects.all().delete()
    scheduler = DatabaseScheduler(app=celery_app)
    for task, period in PERIODS.items():
        stored = PeriodicTask.objects.get(name=task)
        assert stored.interval.schedule.run_every.total_seconds() == period
        assert scheduler.schedule[task].options["expires"] == period


@pytest.mark.django_db(transaction=True)
def test_a_changed_row_is_overwritten_when_beat_starts():
    DatabaseScheduler(app=celery_app)
    PeriodicTask.objects.filter(name="messaging.tasks.prune").update(expire_seconds=5)
    DatabaseScheduler(app=celery_app)
    assert PeriodicTask.objects.get(name="messaging.tasks.prune").expire_seconds == PERIODS["messaging.tasks.prune"]


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of schedule entries whose next write fails, because the database does not answer."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    failing: list[str] = []

    def from_entry(cls: type[ModelEntry], name: str, **options: Any) -> ModelEntry:
        if name in failing:
            failing.remove(name)
            raise OperationalError("connection refused")
        return real(name, **options)

    real = ModelEntry.from_entry
    monkeypatch.setattr(ModelEntry, "from_entry", classmethod(from_entry))
    return failing


@pytest.mark.django_db(transaction=True)
def test_a_database_that_fails_while_beat_stores_its_schedule_costs_no_entry(outage: list[str]):
    PeriodicTask.objects.all().delete()
    outage.append("messaging.tasks.prune")
    scheduler = PatientScheduler(app=celery_app)
    assert not outage
    assert scheduler.schedule.keys() >= PERIODS.keys()


@pytest.mark.django_db(transaction=True)
def test_beat_continues_after_an_outage_in_which_it_had_to_read_the_schedule(
    outage: list[str], monkeypatch: pytest.MonkeyPatch
):
    scheduler = PatientScheduler(app=celery_app)
    monkeypatch.setattr(scheduler, "apply_entry", lambda *_, **__: None)

    def unreadable() -> dict[str, Any]:
        raise OperationalError("connection refused")

    scheduler._initial_read = True
    with monkeypatch.context() as away:
        away.setattr(scheduler, "all_as_schedule", unreadable)
        assert scheduler.tick() > 0
    PeriodicTask.objects.filter(name="messaging.tasks.prune").update(enabled=False)
    scheduler.tick()
    assert "messaging.tasks.prune" not in scheduler.schedule
