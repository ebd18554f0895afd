"""Letters of tasks: the work queues' messages, as the archive gets them."""

import json
import uuid
from typing import Any

import pytest

from messaging.broker import topology
from messaging.dead_letters.replays import dry_run
from messaging.dead_letters.services import dead_letter_edit, dead_letter_replay
from messaging.instrumentation import timings
from messaging.models import DeadLetter, HandlingBucket, HandlingFailure, OutboxEvent
from panelkit.errors import NotPossible
from panelkit.rights import Shell
from tests.integration.letters import archive, death

pytestmark = pytest.mark.django_db

TASK = "leads.tasks.answer_lead"


def task_dies(
    *, task: str = TASK, arg: str = "one", queue: str = topology.LLM_QUEUE, error: str = "", **of_death: Any
) -> None:
    task_id = str(uuid.uuid4())
    if error:
        HandlingFailure.objects.create(queue=queue, event_id=uuid.UUID(task_id), error=error)
    headers = {"lang": "py", "task": task, "id": task_id, "expires": "2026-01-01T00:00:00+00:00"}
    died = {"exchange": topology.TASKS_EXCHANGE, "routing-keys": [queue]} | of_death
    archive(json.dumps([[arg], {}, {}]).encode(), headers | death(queue, **died))


def test_a_dead_letter_names_its_task_and_why_it_failed():
    task_dies(error="KeyError: 'x'")
    letter = DeadLetter.objects.get()
    assert (letter.queue, letter.task, letter.event_type) == (topology.LLM_QUEUE, TASK, TASK)
    assert (letter.error, letter.error_class) == ("KeyError: 'x'", "KeyError")


def test_the_same_work_is_one_dead_letter_with_the_latest_error_and_other_work_is_another():
    for error in ("KeyError: 'x'", "TypeError: no"):
        task_dies(error=error)
    task_dies(arg="two")
    first, second = DeadLetter.objects.order_by("pk")
    assert (first.count, first.error) == (2, "TypeError: no")
    assert second.count == 1 and second.error.startswith("rejected without a recorded error")


@pytest.mark.django_db(transaction=True)
def test_a_task_that_expired_is_counted_and_not_kept_and_an_event_that_expired_is_kept():
    task_dies(queue=topology.MAINTENANCE_QUEUE, task="leads.tasks.dispatch_due", reason="expired")
    assert not DeadLetter.objects.exists()
    timings.flush()
    assert HandlingBucket.objects.get(metric="expired", subscription=topology.MAINTENANCE_QUEUE).count == 1
    archive(b'{"a": 1}', death(reason="expired"))
    assert DeadLetter.objects.get().reason == "expired"


def test_a_replay_runs_whenever_it_arrives():
    task_dies()
    letter = DeadLetter.objects.get()
    assert dry_run(DeadLetter.objects.all()).by_queue == {topology.LLM_QUEUE: 1}
    dead_letter_replay(letter_id=letter.pk, by="ann")
    row = OutboxEvent.objects.get()
    assert (row.exchange, row.routing_key, row.body) == (topology.TASKS_EXCHANGE, topology.LLM_QUEUE, letter.body)
    assert row.headers["task"] == TASK and row.headers["expires"] is None


@pytest.mark.parametrize("task", ["somebody.elses", "leads.tasks.dispatch_due"])
def test_a_task_that_is_not_the_queues_cannot_be_replayed(task: str):
    task_dies(task=task)
    with pytest.raises(NotPossible, match="for none of the tasks of llm_queue"):
        dead_letter_replay(letter_id=DeadLetter.objects.get().pk, by="ann")


def test_the_arguments_of_a_task_cannot_be_edited():
    task_dies()
    with pytest.raises(NotPossible, match="cannot be edited"):
        dead_letter_edit(letter_id=DeadLetter.objects.get().pk, body='{"a": 2}', by="ann", holder=Shell())
