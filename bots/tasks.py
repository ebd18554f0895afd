"""The bots' Celery tasks."""

import logging
from uuid import UUID

from celery import shared_task

from bots import celery_worker
from bots.deliveries import cancelling, recovery
from bots.logins.claims import logins_forget, logins_lapse
from bots.worker.supervision import supervise
from messaging.consuming.work_tasks import WorkTask
from messaging.database.clock import database_clock

log = logging.getLogger(__name__)


@shared_task(name="bots.tasks.run_bot", acks_late=False, ignore_result=True)
def run_bot(bot_id: str) -> None:
    """Drive one bot for as long as it is needed, which may be hours.

    The task is acknowledged when it starts: the bot's lease, not the message, shows that it runs.
    """
    runtime = celery_worker.runtime()
    if runtime is None:
        log.error("run_bot was delivered to a process that is not a bots worker")
        return
    runtime.run_bot(UUID(bot_id))


@shared_task(name="bots.tasks.supervise_bots", base=WorkTask)
def supervise_bots() -> None:
    """Start bots that should run and do not, and end logins that no process works on."""
    supervise(database_clock(), logins_lapse, logins_forget)


@shared_task(name="bots.tasks.repair_deliveries", base=WorkTask)
def repair_deliveries() -> None:
    """Settle deliveries that a worker left behind and that no process owns any more."""
    recovery.repair()


@shared_task(name=cancelling.TASK, base=WorkTask)
def advance_cancellations() -> None:
    """Continue the mass cancellations that operators have started."""
    cancelling.cancellations_advance()
