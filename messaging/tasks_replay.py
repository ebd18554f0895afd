"""The background work of replaying many dead letters."""

from celery import shared_task

from messaging import replays
from messaging.work import WorkTask


@shared_task(name=replays.TASK, base=WorkTask)
def advance_replays() -> None:
    replays.replays_advance()
