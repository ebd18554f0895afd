from celery import shared_task

from scripts import services


@shared_task(name="scripts.tasks.supervise_runs", ignore_result=True)
def supervise_runs() -> None:
    """Beat's: look after every play whose supervision is armed."""
    services.runs_supervise()
