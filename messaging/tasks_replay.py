"""The background work of replaying many dead letters."""

from celery import shared_task

from messaging import replays


@shared_task(name=replays.TASK)
def advance_replays() -> None:
    replays.replays_advance()
