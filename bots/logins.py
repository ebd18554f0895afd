"""A login in steps, each of them one request of a page. Between the steps it is a row (`PendingLogin`), so it survives
reloads and restarts; codes and passwords are passed on and never kept.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now

from bots.connecting import CONNECTED, STEP_SECONDS, TooSoon, at_telegram, bot_logged_in
from bots.leases import is_driven
from bots.models import Bot, PendingLogin
from bots.services import credentials_of
from messaging.clock import database_clock
from telegram import login
from telegram.logins import SENTENCES, CodeSent, LoginError, PasswordNeeded, QrCode
from telegram.types import Credentials

Step = PendingLogin.Step

# How long a login may be left alone. Telegram forgets its half of it sooner or later.
LOGIN_LIFETIME = timedelta(minutes=30)
# How long a step may claim the login: two of them never connect with its key at once.
CLAIM = timedelta(seconds=STEP_SECONDS + 30)

BUSY = "This login is being worked on at this moment, perhaps in another window. Wait a little, then try again."
OVER = "This login is over or was never begun. Start again."
# Of a code that was sent, by the database's clock.
_RESEND_AT = "resend_at"
# When these come up there is nothing left to go on with.
_HOPELESS = frozenset({"PHONE_NUMBER_UNOCCUPIED", "PHONE_NUMBER_BANNED"})


# What a page shows.


def login_pending(*, bot_id: UUID) -> PendingLogin | None:
    """The login that was begun and is not over."""
    return PendingLogin.objects.filter(bot_id=bot_id, expires_at__gt=Now()).first()


def code_sent(pending: PendingLogin) -> CodeSent:
    state = json.loads(pending.state)
    state.pop(_RESEND_AT, None)
    return CodeSent(**state)


def resend_at(pending: PendingLogin) -> datetime | None:
    """From when on Telegram sends the code of this login again."""
    return _moment(json.loads(pending.state).get(_RESEND_AT))


def qr_code(pending: PendingLogin) -> QrCode:
    state = json.loads(pending.state)
    return QrCode(**state | {"expires_at": _moment(state["expires_at"])})


# What a person does. Each raises LoginError with a sentence for them, and keeps it with the login.


def login_send_code(*, bot_id: UUID, phone: str = "") -> PendingLogin:
    """Have Telegram send a code to `phone`; when it is empty, to where the last one went, or to the bot's own number.

    Begins anew whatever was begun.
    """
    _refuse_driven(bot_id)
    with _step(bot_id, Step.CODE, begin=True) as (pending, bot, credentials):
        number = phone or (code_sent(pending).phone if pending.step == Step.CODE else "") or bot.phone
        if not number:
            raise LoginError("The phone number is missing. Enter it in international form, beginning with +.")
        _keep(pending, Step.CODE, at_telegram(login.request_code(credentials, number)))
    return pending


def login_resend_code(*, bot_id: UUID) -> PendingLogin:
    """Have the code sent again in the next way, once Telegram allows it."""
    with _step(bot_id, Step.CODE, within=Step.CODE) as (pending, _bot, credentials):
        allowed_at = resend_at(pending)
        if allowed_at and database_clock() < allowed_at:
            raise LoginError(f"Telegram sends it in another way from {allowed_at:%H:%M:%S} UTC on. Wait until then.")
        _keep(pending, Step.CODE, at_telegram(login.resend_code(credentials, code_sent(pending))))
    return pending


def login_enter_code(*, bot_id: UUID, code: str) -> Bot | None:
    """The bot when it is logged in; None when the account's password is needed now."""
    with _step(bot_id, Step.CODE, within=Step.CODE) as (pending, _bot, credentials):
        try:
            session, me = at_telegram(login.sign_in(credentials, code_sent(pending), code))
        except PasswordNeeded as needed:
            _keep_password_step(pending, needed)
            return None
        return bot_logged_in(bot_id=bot_id, session=session, me=me)


def login_enter_password(*, bot_id: UUID, password: str) -> Bot:
    with _step(bot_id, Step.PASSWORD, within=Step.PASSWORD) as (pending, _bot, credentials):
        if not password:
            raise LoginError(SENTENCES["PASSWORD_EMPTY"], reason="PASSWORD_EMPTY")
        held = json.loads(pending.state)["session"]
        session, me = at_telegram(login.check_password(credentials, held, password))
        return bot_logged_in(bot_id=bot_id, session=session, me=me)


def login_show_qr(*, bot_id: UUID) -> PendingLogin:
    """A QR code to scan. Begins anew whatever was begun."""
    _refuse_driven(bot_id)
    with _step(bot_id, Step.QR, begin=True) as (pending, _bot, credentials):
        _keep(pending, Step.QR, at_telegram(login.qr_begin(credentials)))
    return pending


def login_look_at_qr(*, bot_id: UUID) -> Bot | None:
    """The bot when its code was scanned and it is logged in. Else the pending login holds what to show: the code,
    a new one if the old one has expired, or the step PASSWORD.
    """
    with _step(bot_id, Step.QR, within=Step.QR) as (pending, _bot, credentials):
        try:
            found = at_telegram(login.qr_look(credentials, qr_code(pending).session))
        except PasswordNeeded as needed:
            _keep_password_step(pending, needed)
            return None
        if isinstance(found, QrCode):
            _keep(pending, Step.QR, found)
            return None
        session, me = found
        return bot_logged_in(bot_id=bot_id, session=session, me=me)


def login_cancel(*, bot_id: UUID) -> None:
    """Forget what was begun. What Telegram asked to wait for stays known."""
    waiting = Q(wait_until__gt=Now())
    PendingLogin.objects.filter(waiting, bot_id=bot_id).update(step=Step.START, state="", busy_until=None)
    PendingLogin.objects.filter(~waiting | Q(wait_until__isnull=True), bot_id=bot_id).delete()


# How a step is made.


@contextmanager
def _step(
    bot_id: UUID, kind: Step, *, begin: bool = False, within: Step | None = None
) -> Iterator[tuple[PendingLogin, Bot, Credentials]]:
    """Claim the login for one step; what goes wrong is kept with it. Raises LoginError."""
    bot = Bot.objects.get(pk=bot_id)
    now = database_clock()
    if begin:
        PendingLogin.objects.get_or_create(bot=bot, defaults={"expires_at": now + LOGIN_LIFETIME})
    pending = _claimed(bot_id, now)
    try:
        if within is not None and (pending.step != within or pending.expires_at <= now):
            raise LoginError(OVER)
        if pending.waits_for == kind and pending.wait_until and pending.wait_until > now:
            raise TooSoon(pending.wait_until)
        yield pending, bot, credentials_of(bot)
    except LoginError as error:
        _keep_problem(pending, kind, error, now)
        raise
    finally:
        PendingLogin.objects.filter(pk=bot_id, busy_until=pending.busy_until).update(busy_until=None)


def _claimed(bot_id: UUID, now: datetime) -> PendingLogin:
    free = Q(busy_until__isnull=True) | Q(busy_until__lte=now)
    if not PendingLogin.objects.filter(free, pk=bot_id).update(busy_until=now + CLAIM):
        raise LoginError(BUSY if PendingLogin.objects.filter(pk=bot_id).exists() else OVER)
    return PendingLogin.objects.get(pk=bot_id)


def _keep(pending: PendingLogin, step: Step, found: CodeSent | QrCode) -> None:
    state = dict(vars(found))
    if isinstance(found, CodeSent) and found.resend_seconds:
        state[_RESEND_AT] = database_clock() + timedelta(seconds=found.resend_seconds)
    _write(pending, step, {name: _plain(value) for name, value in state.items()})


def _keep_password_step(pending: PendingLogin, needed: PasswordNeeded) -> None:
    _write(pending, Step.PASSWORD, {"session": needed.session})


def _write(pending: PendingLogin, step: Step, state: dict[str, Any]) -> None:
    pending.step, pending.state, pending.problem = step, json.dumps(state), ""
    pending.wait_until, pending.waits_for = None, ""
    pending.expires_at = database_clock() + LOGIN_LIFETIME
    # Only while it is still ours: somebody may have cancelled it meanwhile.
    PendingLogin.objects.filter(pk=pending.pk, busy_until=pending.busy_until).update(
        step=pending.step,
        state=pending.state,
        problem="",
        wait_until=None,
        waits_for="",
        expires_at=pending.expires_at,
    )


def _keep_problem(pending: PendingLogin, kind: Step, error: LoginError, now: datetime) -> None:
    changes: dict[str, Any] = {"problem": str(error)[:300]}
    if isinstance(error, TooSoon):
        changes |= {
            "wait_until": error.wait_until,
            "waits_for": kind,
            "expires_at": max(now + LOGIN_LIFETIME, error.wait_until),
        }
    if error.reason in _HOPELESS:
        changes |= {"step": Step.START, "state": ""}
    PendingLogin.objects.filter(pk=pending.pk, busy_until=pending.busy_until).update(**changes)


def _refuse_driven(bot_id: UUID) -> None:
    if is_driven(bot_id):
        raise LoginError(CONNECTED)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
