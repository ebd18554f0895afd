"""The bus's own tasks, all sent by beat: pruning, replays of dead letters, statistics of the queues.

Do not rename tasks: messages under way, dead letters and beat's rows contain their names.
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
    """Delete old rows (see `messaging.retention`)."""
    removed = prune_all()
    log.info("pruned: %s", ", ".join(f"{name} {count}" for name, count in removed.items()))


@shared_task(name=replays.TASK, base=WorkTask)
def advance_replays() -> None:
    replays.replays_advance()


@shared_task(name="messaging.tasks_stats.sample_queues", base=WorkTask)
def sample_queues() -> None:
    """Store a sample of the queues' statistics."""
    try:
        queue_stats.sample()
    except ManagementUnavailable as problem:
        log.warning("the queues' statistics are not available: %s", problem)
