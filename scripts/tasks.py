from celery import shared_task

from messaging.consuming.work_tasks import WorkTask
from scripts import services


@shared_task(name="scripts.tasks.supervise_runs", base=WorkTask)
def supervise_runs() -> None:
    """Check all monitored plays. Called by beat."""
    services.plays_supervise()
