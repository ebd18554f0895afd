from celery import shared_task

from messaging.consuming.work_tasks import WorkTask
from scripts import services


@shared_task(name="scripts.tasks.supervise_runs", base=WorkTask)
def supervise_runs() -> None:
    """Beat's: look after every play whose supervision is armed."""
    services.plays_supervise()
