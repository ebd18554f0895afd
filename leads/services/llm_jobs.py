"""The states of an LLM job: queued, claimed, applied, postponed, handed over.

A job belongs to one epoch of a conversation, and only the latest epoch counts. This module does not call the LLM;
`leads.llm_runner` does, in between.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, Value, When

from campaigns.models import Campaign, Suppression
from leads.llm.answers import LlmAnswer
from leads.llm.prompt import conversation_prompt
from leads.locks import ConversationGone, conversation_lock
from leads.models import Conversation, Lead, LlmJob, Message
from leads.selectors import beginning, messages_in_chat
from leads.services.opt_out import opt_out
from leads.services.outgoing_messages import message_send
from leads.services.ownership import (
    Owner,
    conversation_end,
    jobs_drop,
    lead_move,
    operator_needed,
    over_because,
    owner_move,
)
from messaging.publishing.celery_tasks import send_on_commit
from messaging.rounds import LOST, backoff
from messaging.wire import storable
from outgoing.chat_completions import TIMEOUT_SECONDS, LlmResponse
from outgoing.retry_after import MOST_SECONDS as LONGEST_WAIT_SECONDS

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

State = LlmJob.State

ANSWER_TASK = "leads.tasks.answer_lead"
# Seconds. Delayed messages occupy a worker's memory, so longer waits are left to beat, which finds due rows.
_LONGEST_COUNTDOWN_SECONDS = 5.0

# After this time a job whose task died may be claimed again: two requests up to their deadlines, and a reserve.
CLAIM = timedelta(seconds=2 * TIMEOUT_SECONDS + 30)
# A task may arrive this long before its row is due, because clocks and timers are not exact.
EARLY = timedelta(seconds=0.5)
# A due row gets another task if none has been seen for this long.
REDISPATCH = timedelta(seconds=30)
# Attempts count however they end: with an unusable answer, an error, or the death of the worker.
MOST_ATTEMPTS = 8
_BACKOFF_FIRST_SECONDS, _BACKOFF_MOST_SECONDS = 1.0, 60.0


@dataclass(frozen=True)
class Question:
    """A claimed job. `attempt` identifies the claim: the claim of an earlier attempt is lost."""

    job_id: UUID
    attempt: int
    conversation_id: UUID
    model: str


def job_queue(*, conversation: Conversation, now: datetime, quiet_seconds: float) -> LlmJob:
    """Queue a job that asks the LLM after so many seconds, unless the epoch changes before.

    The caller has locked the conversation.
    """
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


def job_claim(*, job_id: UUID, now: datetime) -> Question | None:
    """Claim a due job. Returns None if it is not due, claimed by another task, or obsolete.

    A job whose attempts are used up, the last one without a result, is handed over to an operator instead. A job stays
    due while its campaign is paused. If nothing more may be sent, the conversation ends.

    Raises ConversationGone, as the functions below do.
    """
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    due = LlmJob.objects.filter(free, _not_paused(), id=job_id, state=State.DUE, due_at__lte=now + EARLY)
    lost = When(claimed_until__isnull=False, then=Value(LOST))
    taken = due.update(claimed_until=now + CLAIM, attempts=F("attempts") + 1, error=Case(lost, default=F("error")))
    if not taken:
        return None
    job = LlmJob.objects.select_related("conversation__lead__campaign").filter(id=job_id).first()
    if job is None:
        raise ConversationGone
    conversation = job.conversation
    over = over_because(conversation=conversation) is not None
    if over:
        conversation_end(conversation_id=conversation.id)
    if over or not _current(job, conversation):
        LlmJob.objects.filter(id=job.id, state=State.DUE).update(state=State.STALE, claimed_until=None)
        return None
    question = Question(
        job_id=job.id,
        attempt=job.attempts,
        conversation_id=conversation.id,
        model=conversation.lead.campaign.llm_model or settings.OPENAI_MODEL,
    )
    if job.attempts > MOST_ATTEMPTS:
        job_hand_over(question=question, error=f"{job.error}, {MOST_ATTEMPTS} attempts in all")
        return None
    return question


def question_messages(*, question: Question) -> "list[ChatCompletionMessageParam]":
    """The messages for the LLM: the rules and the present conversation."""
    lead = Lead.objects.select_related("campaign").filter(conversation__id=question.conversation_id).first()
    if lead is None:
        raise ConversationGone
    messages = messages_in_chat(conversation_id=question.conversation_id)
    return conversation_prompt(campaign=lead.campaign, hit_text=beginning(lead=lead).text, messages=messages)


@transaction.atomic
def job_apply(*, question: Question, answered: LlmResponse[LlmAnswer], now: datetime) -> LlmJob:
    """Carry out the LLM's decision. If the conversation has changed meanwhile, the job becomes stale instead."""
    conversation, job = _locked(question)
    job.prompt_tokens += answered.prompt_tokens
    job.completion_tokens += answered.completion_tokens
    if job.state != State.DUE or job.attempts != question.attempt:
        return job
    if not _current(job, conversation):
        return _finish(job, State.STALE)
    answer = answered.answer
    job.action, job.reason = answer.action, answer.reason[:300]
    _finish(job, State.DONE)
    match answer.action:
        case "opt_out":
            opt_out(lead_id=conversation.lead_id, source=Suppression.Source.LLM, reason=answer.reason[:300])
        case "reply":
            _send(conversation, answer.texts, now)
        case "handover":
            reason = f"Handed over by the AI: {answer.reason}"
            operator_needed(conversation=conversation, reason=reason, event_reason="The AI asks for an operator.")
            _send(conversation, answer.texts, now, parting=True)
        case "close":
            owner_move(conversation=conversation, owner=Owner.NONE, reason=f"Ended by the AI: {answer.reason}")
            lead_move(lead=conversation.lead, state=Lead.State.CLOSED, reason=answer.reason)
            _send(conversation, answer.texts, now, parting=True)
    return job


@transaction.atomic
def job_postpone(*, question: Question, error: str, retry_after: float | None, now: datetime) -> LlmJob:
    """Try the job again later after an error of the LLM. After MOST_ATTEMPTS an operator takes over.

    `retry_after` is the wait in seconds that the endpoint asked for; it is limited to an hour.
    """
    if question.attempt >= MOST_ATTEMPTS:
        return job_hand_over(question=question, error=f"{error}, {question.attempt} times")
    _, job = _locked(question)
    if job.state != State.DUE or job.attempts != question.attempt:
        return job
    delay = backoff(question.attempt, first=_BACKOFF_FIRST_SECONDS, most=_BACKOFF_MOST_SECONDS)
    delay = max(delay, timedelta(seconds=min(retry_after or 0.0, LONGEST_WAIT_SECONDS)))
    job.due_at, job.claimed_until, job.dispatched_at = now + delay, None, None
    job.error = storable(error)[:300]
    job.save()
    return job


@transaction.atomic
def job_hand_over(*, question: Question, error: str) -> LlmJob:
    """Hand the conversation over to an operator, because the AI cannot continue, and notify the team."""
    conversation, job = _locked(question)
    if job.state != State.DUE or job.attempts != question.attempt:
        return job
    error = storable(error)
    job.error = error[:300]
    if not _current(job, conversation):
        return _finish(job, State.STALE)
    _finish(job, State.FAILED)
    reason = f"The AI could not answer: {error}"
    operator_needed(conversation=conversation, reason=reason, event_reason=reason)
    return job


@transaction.atomic
def jobs_dispatch_due(*, now: datetime, limit: int = 200) -> int:
    """Send a task for every due job without a task under way. Returns their number."""
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    unseen = Q(dispatched_at=None) | Q(dispatched_at__lte=now - REDISPATCH)
    due = LlmJob.objects.filter(free & unseen & _not_paused(), state=State.DUE, due_at__lte=now).order_by("due_at")
    ids = list(due.select_for_update(skip_locked=True).values_list("id", flat=True)[:limit])
    LlmJob.objects.filter(id__in=ids).update(dispatched_at=now)
    for job_id in ids:
        send_on_commit(ANSWER_TASK, str(job_id))
    return len(ids)


def _not_paused() -> Q:
    """Jobs of campaigns that are not paused. A finished campaign's jobs run, and end their conversations.

    A subquery, not a join: an UPDATE with a join would not check a row again after waiting for its lock.
    """
    awake = (Campaign.State.RUNNING, Campaign.State.FINISHED)
    return Q(conversation__in=Conversation.objects.filter(lead__campaign__state__in=awake))


def _current(job: LlmJob, conversation: Conversation) -> bool:
    return conversation.epoch == job.epoch and conversation.owner == Owner.AI


def _locked(question: Question) -> tuple[Conversation, LlmJob]:
    conversation = conversation_lock(question.conversation_id)
    return conversation, LlmJob.objects.select_for_update().get(id=question.job_id)


def _finish(job: LlmJob, state: LlmJob.State) -> LlmJob:
    job.state, job.claimed_until = state, None
    job.save()
    return job


def _send(conversation: Conversation, texts: list[str], now: datetime, *, parting: bool = False) -> None:
    """Queue the messages of one answer. With equal times, deliveries are sent in the order of their creation."""
    for text in texts:
        message_send(conversation=conversation, author=Message.Author.AI, text=text, due_at=now, parting=parting)
