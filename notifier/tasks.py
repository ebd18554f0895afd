"""The notifier's Celery tasks."""

from uuid import UUID

from celery import shared_task

from messaging.consuming.work_tasks import WorkTask
from messaging.database.clock import database_clock
from notifier.notifications import sending
from notifier.notifications.lifecycle import notifications_dispatch_due


@shared_task(name="notifier.tasks.send_notification", base=WorkTask)
def send_notification(notification_id: str) -> None:
    sending.notification_send(notification_id=UUID(notification_id))


@shared_task(name="notifier.tasks.dispatch_due", base=WorkTask)
def dispatch_due() -> None:
    notifications_dispatch_due(now=database_clock())
