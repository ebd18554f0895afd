"""The states of a hit that the LLM has to judge: due, claimed, decided, postponed, left to an operator.

This module does not call the LLM; `parser.second_look.runner` does, in between.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, Value, When

from campaigns.models import Campaign
from messaging.events import ServiceErrorEvent
from messaging.publishing.celery_tasks import send_on_commit
from messaging.publishing.outbox import publish_on_commit
from messaging.rounds import LOST, backoff
from messaging.wire import storable
from outgoing.chat_completions import TIMEOUT_SECONDS, LlmResponse
from outgoing.retry_after import MOST_SECONDS as LONGEST_WAIT_SECONDS
from parser.models import HitLook, SecondLook
from parser.second_look.decisions import hit_lock, look_move
from parser.second_look.llm import LookAnswer, look_prompt, tokens_at_most
from parser.second_look.spending import Reservation, tokens_reserve, tokens_settle

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

State, Judge = HitLook.State, HitLook.Judge

LOOK_TASK = "parser.tasks.look_at_hit"
# After this time a hit whose task died may be claimed again: one request up to its deadline, and a reserve.
CLAIM = timedelta(seconds=TIMEOUT_SECONDS + 30)
# A task may arrive this long before its row is due, because clocks and timers are not exact.
EARLY = timedelta(seconds=0.5)
# A due row gets another task if none has been seen for this long.
REDISPATCH = timedelta(seconds=30)
# Attempts count however they end: with an error, or the death of the worker.
MOST_ATTEMPTS = 8
_BACKOFF_FIRST_SECONDS, _BACKOFF_MOST_SECONDS = 1.0, 60.0
# The team is notified this often at most that hits of a campaign wait for an operator.
_NOTIFY_AGAIN = timedelta(hours=1)

SWITCHED_OFF = "The LLM was switched off before it had judged this hit."


@dataclass(frozen=True)
class Claimed:
    """A hit to ask the LLM about. `attempt` identifies the claim: the claim of an earlier attempt is lost."""

    hit_id: UUID
    attempt: int
    model: str
    messages: "list[ChatCompletionMessageParam]"
    reservation: Reservation


@transaction.atomic
def look_claim(*, hit_id: UUID, now: datetime) -> Claimed | None:
    """Claim a due hit and count its tokens. None if it is not due, claimed by another task, decided, or erased.

    A hit stays due while its campaign does not run. It is left to an operator if its attempts are used up, the last one
    without a result, if the message was deleted, or if the campaign has no tokens left today.
    """
    look = _claim(hit_id, now)
    if look is None:
        return None
    campaign = look.campaign
    chosen = SecondLook.objects.filter(campaign=campaign, enabled=True, use_llm=True).first()
    if chosen is None:
        look_move(look=look, state=State.PASSED, judge=Judge.RULES, reason=SWITCHED_OFF, now=now)
        return None
    if look.attempts > MOST_ATTEMPTS:
        _leave(look, f"The LLM did not answer: {look.error}, {MOST_ATTEMPTS} attempts in all.", now)
        return None
    if look.hit.deleted_at is not None:
        _leave(look, "The message was deleted in the chat: the LLM was not asked.", now)
        return None
    text = look.hit.edited_text or look.hit.text
    messages = look_prompt(name=campaign.name, instructions=chosen.instructions, text=text)
    reservation = tokens_reserve(campaign=campaign, tokens=tokens_at_most(messages), now=now)
    if reservation is None:
        _leave(look, f"The {chosen.daily_tokens} tokens for today are used up: the LLM was not asked.", now)
        return None
    return Claimed(hit_id, look.attempts, campaign.llm_model or settings.OPENAI_MODEL, messages, reservation)


def _claim(hit_id: UUID, now: datetime) -> HitLook | None:
    look = hit_lock(hit_id)
    if look is None:
        return None
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    due = HitLook.objects.filter(free, _running(), pk=hit_id, state=State.DUE, due_at__lte=now + EARLY)
    lost = When(claimed_until__isnull=False, then=Value(LOST))
    if not due.update(claimed_until=now + CLAIM, attempts=F("attempts") + 1, error=Case(lost, default=F("error"))):
        return None
    look.refresh_from_db(fields=["claimed_until", "attempts", "error"])
    return look


@transaction.atomic
def look_apply(*, claimed: Claimed, answered: LlmResponse[LookAnswer], now: datetime) -> None:
    """Carry out the LLM's verdict, unless an operator has decided meanwhile. The tokens are counted in any case."""
    look = hit_lock(claimed.hit_id)
    used = answered.prompt_tokens + answered.completion_tokens
    # An endpoint that does not say what it used does not make requests free.
    tokens_settle(reservation=claimed.reservation, used=used or claimed.reservation.tokens)
    if look is None:
        return
    look.prompt_tokens += answered.prompt_tokens
    look.completion_tokens += answered.completion_tokens
    if not _is_mine(look, claimed):
        look.save(update_fields=["prompt_tokens", "completion_tokens"])
        return
    look.score, look.error = answered.answer.score, ""
    least = SecondLook.objects.filter(campaign_id=look.campaign_id).values_list("least_score", flat=True).first()
    good = look.score >= (least or 0)
    look_move(
        look=look,
        state=State.PASSED if good else State.REJECTED,
        judge=Judge.LLM,
        reason=answered.answer.reason,
        now=now,
    )


@transaction.atomic
def look_postpone(*, claimed: Claimed, error: str, retry_after: float | None, spent: bool, now: datetime) -> None:
    """Ask again later after an error of the LLM. After MOST_ATTEMPTS the hit waits for an operator.

    `retry_after` is the wait in seconds that the endpoint asked for; it is limited to an hour. `spent`: the request may
    have cost tokens, so they stay counted.
    """
    look = hit_lock(claimed.hit_id)
    if not spent:
        tokens_settle(reservation=claimed.reservation, used=0)
    if look is None or not _is_mine(look, claimed):
        return
    look.error = storable(error)[:300]
    if claimed.attempt >= MOST_ATTEMPTS:
        _leave(look, f"The LLM did not answer: {error}, {claimed.attempt} times.", now)
        return
    delay = backoff(claimed.attempt, first=_BACKOFF_FIRST_SECONDS, most=_BACKOFF_MOST_SECONDS)
    delay = max(delay, timedelta(seconds=min(retry_after or 0.0, LONGEST_WAIT_SECONDS)))
    look.due_at, look.claimed_until, look.dispatched_at = now + delay, None, None
    look.save()


@transaction.atomic
def look_leave(*, claimed: Claimed, error: str, spent: bool, now: datetime) -> None:
    """Leave the hit to an operator, because the LLM cannot judge it."""
    look = hit_lock(claimed.hit_id)
    if not spent:
        tokens_settle(reservation=claimed.reservation, used=0)
    if look is not None and _is_mine(look, claimed):
        look.error = storable(error)[:300]
        _leave(look, f"The LLM could not judge the message: {error}.", now)


@transaction.atomic
def looks_dispatch_due(*, now: datetime, limit: int = 200) -> int:
    """Send a task for every due hit without a task under way. Returns their number."""
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    unseen = Q(dispatched_at=None) | Q(dispatched_at__lte=now - REDISPATCH)
    due = HitLook.objects.filter(free & unseen & _running(), state=State.DUE, due_at__lte=now).order_by("due_at")
    ids = list(due.select_for_update(skip_locked=True).values_list("hit_id", flat=True)[:limit])
    HitLook.objects.filter(pk__in=ids).update(dispatched_at=now)
    for hit_id in ids:
        send_on_commit(LOOK_TASK, str(hit_id))
    return len(ids)


def _running() -> Q:
    """Hits of running campaigns. A subquery, not a join: an UPDATE with a join would not check a row again."""
    return Q(campaign_id__in=Campaign.objects.filter(state=Campaign.State.RUNNING).values("id"))


def _is_mine(look: HitLook, claimed: Claimed) -> bool:
    return look.state == State.DUE and look.attempts == claimed.attempt


def _leave(look: HitLook, reason: str, now: datetime) -> None:
    look_move(look=look, state=State.WAITING, reason=reason, now=now)
    quiet = Q(notified_at=None) | Q(notified_at__lte=now - _NOTIFY_AGAIN)
    if SecondLook.objects.filter(quiet, campaign_id=look.campaign_id).update(notified_at=now):
        event = f"hits of campaign “{look.campaign.name}” wait for an operator on the page Second looks. {look.reason}"
        publish_on_commit(ServiceErrorEvent(service="parser", reason=event))
