"""Asks the LLM about a hit: claims it, sends the request without an open transaction, and applies the answer."""

import logging
from datetime import datetime
from uuid import UUID

from messaging.database.clock import database_clock
from messaging.instrumentation.error_names import fault
from outgoing.chat_completions import LlmRejected, LlmUnavailable, LlmUseless
from parser.second_look.llm import look_ask
from parser.second_look.llm_jobs import look_apply, look_claim, look_leave, look_postpone

log = logging.getLogger(__name__)


def look_run(*, hit_id: UUID, now: datetime | None = None) -> None:
    """Ask the LLM and carry out its verdict. May run several times at once.

    Every attempt and its tokens are counted before the request, however it ends.
    """
    claimed = look_claim(hit_id=hit_id, now=now or database_clock())
    if claimed is None:
        return
    try:
        answered = look_ask(model=claimed.model, messages=claimed.messages)
        look_apply(claimed=claimed, answered=answered, now=database_clock())
    except LlmUnavailable as error:
        log.warning("second look at hit %s: %s", hit_id, error)
        look_postpone(
            claimed=claimed,
            error=str(error),
            retry_after=error.retry_after,
            spent=not error.refused,
            now=database_clock(),
        )
    except (LlmRejected, LlmUseless) as error:
        log.error("second look at hit %s: an operator has to decide: %s", hit_id, error)
        spent = isinstance(error, LlmUseless)
        look_leave(claimed=claimed, error=str(error), spent=spent, now=database_clock())
    except Exception as error:
        # Only the error's class, because its text may repeat the message or the key.
        log.error("second look at hit %s: an attempt ended with an unexpected %s", hit_id, fault(error))
        reason = f"unexpected {type(error).__name__}"
        look_postpone(claimed=claimed, error=reason, retry_after=None, spent=True, now=database_clock())
