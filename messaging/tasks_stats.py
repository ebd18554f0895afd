"""The look at the broker that beat asks for."""

import logging

from celery import shared_task

from messaging.broker.management_api import ManagementUnavailable
from messaging.consuming.work_tasks import WorkTask
from messaging.observability import queue_stats

log = logging.getLogger(__name__)


@shared_task(name="messaging.tasks_stats.sample_queues", base=WorkTask)
def sample_queues() -> None:
    try:
        queue_stats.sample()
    except ManagementUnavailable as problem:
        log.warning("no figures of the queues: %s", problem)
