"""The campaigns' Celery tasks."""

from celery import shared_task

from campaigns.permissions.expiry import permissions_notify_expiring
from messaging.consuming.work_tasks import WorkTask
from messaging.database.clock import database_clock


@shared_task(name="campaigns.tasks.tell_expiring", base=WorkTask)
def notify_expiring() -> None:
    permissions_notify_expiring(now=database_clock())
