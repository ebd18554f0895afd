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
    """Drive one bot for as long as it is wanted: hours. Acknowledged at its start, its lease is what counts."""
    runtime = celery_worker.runtime()
    if runtime is None:
        log.error("run_bot came to a process that is no bots worker")
        return
    runtime.run_bot(UUID(bot_id))


@shared_task(name="bots.tasks.supervise_bots", base=WorkTask)
def supervise_bots() -> None:
    """Start what should run and does not; end what nobody works on."""
    supervise(database_clock(), logins_lapse, logins_forget)


@shared_task(name="bots.tasks.repair_deliveries", base=WorkTask)
def repair_deliveries() -> None:
    """Settle what was left behind and belongs to nobody any more."""
    recovery.repair()


@shared_task(name=cancelling.TASK, base=WorkTask)
def advance_cancellations() -> None:
    """Go on with what people have ordered to be cancelled."""
    cancelling.cancellations_advance()
