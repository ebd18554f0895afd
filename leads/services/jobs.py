"""When the LLM is asked. A job belongs to one epoch of a conversation; only the latest one counts."""

from datetime import datetime, timedelta

from leads.models import Conversation, LlmJob
from messaging.publishing.celery_tasks import send_on_commit

ANSWER_TASK = "leads.tasks.answer_lead"
# Delayed messages sit in a worker's memory: a longer wait is left to beat, which finds due rows.
_LONGEST_COUNTDOWN_SECONDS = 5.0


def job_queue(*, conversation: Conversation, now: datetime, quiet_seconds: float) -> LlmJob:
    """The conversation is locked. Ask after so many seconds, unless its epoch moves on before."""
    jobs_drop(conversation=conversation)
    due_at = now + timedelta(seconds=quiet_seconds)
    at_once = quiet_seconds <= _LONGEST_COUNTDOWN_SECONDS
    job = LlmJob.objects.create(
        conversation=conversation,
        epoch=conversation.epoch,
        due_at=due_at,
        dispatched_at=due_at if at_once else None,
    )
    if at_once:
        send_on_commit(ANSWER_TASK, str(job.id), countdown=quiet_seconds)
    return job


def jobs_drop(*, conversation: Conversation) -> int:
    """The conversation moved on: nothing is asked about what was before."""
    due = LlmJob.objects.filter(conversation=conversation, state=LlmJob.State.DUE)
    return due.update(state=LlmJob.State.STALE)
