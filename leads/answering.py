"""An LLM job from its claim to its end. The only place of this room that waits for a network."""

import logging
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from leads.llm import Answered, LlmRejected, LlmUnavailable, LlmUseless, ask
from leads.locks import ConversationGone
from leads.services.answering import Question, job_apply, job_claim, job_hand_over, job_postpone

log = logging.getLogger(__name__)

# A model that answered nonsense is asked once more.
_ASKED_AT_MOST = 2


def answer_job(*, job_id: UUID, now: datetime | None = None) -> None:
    """Ask the LLM and do what it says. May run twice and beside itself; no transaction is open while it waits."""
    try:
        _answer(job_id, now)
    except ConversationGone:
        log.info("llm job %s: its conversation was erased", job_id)


def _answer(job_id: UUID, now: datetime | None) -> None:
    question = job_claim(job_id=job_id, now=now or timezone.now())
    if question is None:
        return
    try:
        answered = _ask(question)
    except LlmUnavailable as error:
        log.warning("llm job %s: %s", job_id, error)
        job_postpone(question=question, error=str(error), retry_after=error.retry_after, now=timezone.now())
    except (LlmRejected, LlmUseless) as error:
        log.error("llm job %s goes to a person: %s", job_id, error)
        job_hand_over(question=question, error=str(error))
    else:
        job_apply(question=question, answered=answered, now=timezone.now())


def _ask(question: Question) -> Answered:
    for _ in range(_ASKED_AT_MOST - 1):
        try:
            return ask(model=question.model, messages=question.messages)
        except LlmUseless as error:
            log.warning("llm job %s is asked again: %s", question.job_id, error)
    return ask(model=question.model, messages=question.messages)
