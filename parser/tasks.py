"""Doors for Celery."""

from uuid import UUID

from celery import shared_task

from messaging.consuming.work_tasks import WorkTask
from messaging.database.clock import database_clock
from parser.second_look.llm_jobs import looks_dispatch_due
from parser.second_look.runner import look_run


@shared_task(name="parser.tasks.look_at_hit", base=WorkTask)
def look_at_hit(hit_id: str) -> None:
    look_run(hit_id=UUID(hit_id))


@shared_task(name="parser.tasks.dispatch_looks", base=WorkTask)
def dispatch_looks() -> None:
    looks_dispatch_due(now=database_clock())
