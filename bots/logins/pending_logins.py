"""The row of an unfinished login (`PendingLogin`): reads its contents, and writes them as the owner of its claim."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from bots.logins.claims import Claim
from bots.logins.telegram_calls import TooSoon
from bots.models import Bot, PendingLogin
from messaging.database.clock import database_clock
from telegram.logins.types import CodeSent, LoginError, PasswordNeeded, QrCode
from telegram.types import Credentials

Step = PendingLogin.Step

# How long a login may stay idle. Telegram forgets the login sooner or later.
LOGIN_LIFETIME = timedelta(minutes=30)
# The key in `state` for the time, on the database's clock, from which a code may be sent again.
_RESEND_AT = "resend_at"
# Errors after which the login cannot continue.
_HOPELESS = frozenset({"PHONE_NUMBER_UNOCCUPIED", "PHONE_NUMBER_BANNED"})


@dataclass(frozen=True)
class Work:
    """A step under way."""

    pending: PendingLogin
    bot: Bot
    credentials: Credentials
    claim: Claim


def login_pending(*, bot_id: UUID) -> PendingLogin | None:
    """The login of the bot that has begun and not expired, or None."""
    return PendingLogin.objects.filter(bot_id=bot_id, expires_at__gt=Now()).first()


def code_sent(pending: PendingLogin) -> CodeSent:
    state = json.loads(pending.state)
    state.pop(_RESEND_AT, None)
    return CodeSent(**state)


def resend_at(pending: PendingLogin) -> datetime | None:
    """When Telegram sends the code of this login again, or None."""
    return _moment(json.loads(pending.state).get(_RESEND_AT))


def qr_code(pending: PendingLogin) -> QrCode:
    state = json.loads(pending.state)
    return QrCode(**state | {"expires_at": _moment(state["expires_at"])})


def number_known(bot: Bot, pending: PendingLogin | None) -> str:
    """The phone number to send a code to if the operator enters none, or ""."""
    sent_to = code_sent(pending).phone if pending is not None and pending.step == Step.CODE else ""
    return sent_to or bot.phone


def keep(work: Work, step: Step, found: CodeSent | QrCode) -> None:
    state = dict(vars(found))
    if isinstance(found, CodeSent) and found.resend_seconds:
        state[_RESEND_AT] = work.claim.insist(database_clock) + timedelta(seconds=found.resend_seconds)
    _write(work, step, {name: _plain(value) for name, value in state.items()})


def keep_password_step(work: Work, needed: PasswordNeeded) -> None:
    _write(work, Step.PASSWORD, {"session": needed.session})


def _write(work: Work, step: Step, state: dict[str, Any]) -> None:
    pending = work.pending
    pending.step, pending.state, pending.problem = step, json.dumps(state), ""
    now = work.claim.insist(database_clock)
    # A wait that is not over belongs to another kind of step, so it remains.
    pending.expires_at = max(now + LOGIN_LIFETIME, pending.wait_until or now)
    names = ("step", "state", "problem", "expires_at")
    changes = {name: getattr(pending, name) for name in names}
    # Only while the claim owns the login: an operator may have cancelled it meanwhile.
    work.claim.insist(lambda: work.claim.rows.update(**changes))


def keep_problem(claim: Claim, kind: Step, error: LoginError, now: datetime) -> None:
    """Record for the operator what went wrong in a step of this kind."""
    changes: dict[str, Any] = {"problem": str(error)[:300]}
    if isinstance(error, TooSoon):
        changes |= claim.insist(lambda: _waits(claim, kind, error.wait_until, now))
    if error.reason in _HOPELESS or kind == Step.QR:
        changes |= {"step": Step.START, "state": ""}
    claim.insist(lambda: claim.rows.update(**changes))


def _waits(claim: Claim, kind: Step, until: datetime, now: datetime) -> dict[str, Any]:
    """The columns of a flood wait. If a wait for another kind is not over, both kinds wait until the later moment."""
    row = claim.rows.only("wait_until", "waits_for").first()
    waits_for: str = kind
    if row is not None and row.wait_until and row.wait_until > now:
        until = max(until, row.wait_until)
        waits_for = kind if row.waits_for == kind else ""
    return {"wait_until": until, "waits_for": waits_for, "expires_at": max(now + LOGIN_LIFETIME, until)}


def keep_lost(claim: Claim, error: LoginError) -> None:
    """Record that a stopping process interrupted its step: another worker or the operator continues it."""
    if claim.resumable:
        claim.hand_back()
    else:
        claim.insist(lambda: claim.rows.update(problem=str(error)))


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
