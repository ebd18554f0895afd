"""Housekeeping of the bus's own tables."""

import logging

from celery import shared_task

from messaging.consuming.work_tasks import WorkTask
from messaging.retention import prune_all

log = logging.getLogger(__name__)


@shared_task(name="messaging.tasks.prune", base=WorkTask)
def prune() -> None:
    removed = prune_all()
    log.info("pruned: %s", ", ".join(f"{name} {count}" for name, count in removed.items()))
