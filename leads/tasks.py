"""Doors for Celery."""

from functools import partial
from uuid import UUID

from celery import shared_task

from leads.llm_runner import job_run
from leads.services.contact import leads_contact_due
from leads.services.llm_jobs import jobs_dispatch_due
from leads.services.unclaimed_messages import unclaimed_judge_due
from messaging.consuming.work_tasks import WorkTask
from messaging.database.clock import database_clock
from messaging.rounds import all_of


@shared_task(name="leads.tasks.answer_lead", base=WorkTask)
def answer_lead(job_id: str) -> None:
    job_run(job_id=UUID(job_id))


@shared_task(name="leads.tasks.dispatch_due", base=WorkTask)
def dispatch_due() -> None:
    now = database_clock()
    all_of(
        partial(jobs_dispatch_due, now=now), partial(unclaimed_judge_due, now=now), partial(leads_contact_due, now=now)
    )
