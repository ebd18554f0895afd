"""The bus's own tasks, all sent by beat: housekeeping, replays of dead letters, figures of the queues.

The names of tasks stay as they are: they stand in messages under way, in dead letters and in beat's rows.
"""

import logging

from celery import shared_task

from messaging.broker.management_api import ManagementUnavailable
from messaging.consuming.work_tasks import WorkTask
from messaging.dead_letters import replays
from messaging.observability import queue_stats
from messaging.retention import prune_all

log = logging.getLogger(__name__)


@shared_task(name="messaging.tasks.prune", base=WorkTask)
def prune() -> None:
    """Delete rows of the bus's tables that are past their time."""
    removed = prune_all()
    log.info("pruned: %s", ", ".join(f"{name} {count}" for name, count in removed.items()))


@shared_task(name=replays.TASK, base=WorkTask)
def advance_replays() -> None:
    replays.replays_advance()


@shared_task(name="messaging.tasks_stats.sample_queues", base=WorkTask)
def sample_queues() -> None:
    """Ask the broker about its queues."""
    try:
        queue_stats.sample()
    except ManagementUnavailable as problem:
        log.warning("no figures of the queues: %s", problem)
