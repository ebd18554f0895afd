"""What beat really stores and sends of the schedule."""

import pytest
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from coolthing_site import celery_app
from coolthing_site.processes.beat_schedule import PERIODS


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
