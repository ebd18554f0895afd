"""Runs an LLM job: claims it, sends it to the LLM with `leads.llm.answers`, and applies the answer."""

import logging
from datetime import datetime
from uuid import UUID

from leads.llm.answers import LlmAnswer, ask
from leads.locks import ConversationGone
from leads.services.llm_jobs import Question, job_apply, job_claim, job_hand_over, job_postpone, question_messages
from messaging.database.clock import database_clock
from messaging.instrumentation.error_names import fault
from outgoing.chat_completions import LlmRejected, LlmResponse, LlmUnavailable, LlmUseless

log = logging.getLogger(__name__)

# After a useless answer the same request is sent once more.
_MOST_REQUESTS = 2


def job_run(*, job_id: UUID, now: datetime | None = None) -> None:
    """Ask the LLM and carry out its decision. May run several times at once. No transaction is open during the request.

    Every attempt is counted and recorded in the job, however it ends.
    """
    try:
        _answer(job_id, now)
    except ConversationGone:
        log.info("llm job %s: its conversation was erased", job_id)


def _answer(job_id: UUID, now: datetime | None) -> None:
    question = job_claim(job_id=job_id, now=now or database_clock())
    if question is None:
        return
    try:
        job_apply(question=question, answered=_ask(question), now=database_clock())
    except ConversationGone:
        raise
    except LlmUnavailable as error:
        log.warning("llm job %s: %s", job_id, error)
        job_postpone(question=question, error=str(error), retry_after=error.retry_after, now=database_clock())
    except (LlmRejected, LlmUseless) as error:
        log.error("llm job %s goes to an operator: %s", job_id, error)
        job_hand_over(question=question, error=str(error))
    except Exception as error:
        # Only the error's class, because its text may repeat the conversation or the key.
        kind = type(error).__name__
        log.error("llm job %s: an attempt ended with an unexpected %s", job_id, fault(error))
        job_postpone(question=question, error=f"unexpected {kind}", retry_after=None, now=database_clock())


def _ask(question: Question) -> LlmResponse[LlmAnswer]:
    messages = question_messages(question=question)
    for _ in range(_MOST_REQUESTS - 1):
        try:
            return ask(model=question.model, messages=messages)
        except LlmUseless as error:
            log.warning("llm job %s: the LLM is asked again: %s", question.job_id, error)
    return ask(model=question.model, messages=messages)
