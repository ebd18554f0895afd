"""The background work of replaying many dead letters."""

from celery import shared_task

from messaging.consuming.work_tasks import WorkTask
from messaging.dead_letters import replays


@shared_task(name=replays.TASK, base=WorkTask)
def advance_replays() -> None:
    replays.replays_advance()
