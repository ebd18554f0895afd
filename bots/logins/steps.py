"""The steps of a login: send a code, enter it, enter the password, show a QR code, import a session, log out.

Between two steps a login is a row (`PendingLogin`), so it survives reloads and restarts. Codes and passwords go to
Telegram and are never stored. A terminal calls the steps directly. A page requests them (`bots.logins.page_requests`),
and a bots worker calls them with the claim that it already has. In both cases a step owns the login while it lasts.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from uuid import UUID

from bots.accounts.services import credentials_of
from bots.logins.claims import Claim, ClaimLost, claim_take
from bots.logins.pending_logins import (
    LOGIN_LIFETIME,
    Work,
    code_sent,
    keep,
    keep_lost,
    keep_password_step,
    keep_problem,
    number_known,
    qr_code,
    resend_at,
)
from bots.logins.sessions import CONNECTED, bot_import, bot_log_out, bot_logged_in, session_discard
from bots.logins.telegram_calls import QR_SECONDS, TooSoon, at_telegram, while_seen
from bots.models import Bot, PendingLogin
from bots.worker.executor import in_own_thread
from bots.worker.leases import is_driven
from messaging.database.clock import database_clock
from messaging.database.errors import DATABASE_ERRORS
from telegram.logins import client
from telegram.logins.types import SENTENCES, LoginError, PasswordNeeded, QrCode
from telegram.types import Me

Step = PendingLogin.Step

BUSY = "A step of this login is under way, perhaps in another window. Wait a moment, then try again."
OVER = "This login has ended or was never started. Start again."
NO_PHONE = "The phone number is missing. Enter it in international form, beginning with +."
UNFORESEEN = "An unexpected error occurred. Try again. The worker's log contains the details."
# The owner of a login that a terminal works on.
TERMINAL = "a terminal"
# Seconds beyond QR_SECONDS, to connect and to disconnect.
_QR_MARGIN = 30.0

# The steps. Each raises LoginError with a sentence for the operator, and records it in the login's row.


def login_send_code(*, bot_id: UUID, phone: str = "", claim: Claim | None = None) -> PendingLogin:
    """Have Telegram send a code to `phone`, by default to the number of the last code or to the bot's own number.

    Replaces any login that has begun.
    """
    with _step(bot_id, Step.CODE, claim, begin=True) as work:
        number = phone or number_known(work.bot, work.pending)
        if not number:
            raise LoginError(NO_PHONE)
        sent = at_telegram(client.request_code(work.credentials, number), claim=work.claim)
        keep(work, Step.CODE, sent)
    return work.pending


def login_resend_code(*, bot_id: UUID, claim: Claim | None = None) -> PendingLogin:
    """Have Telegram send the code again, in another way. Raises LoginError if this is too soon."""
    with _step(bot_id, Step.CODE, claim, within=Step.CODE) as work:
        allowed_at = resend_at(work.pending)
        if allowed_at and database_clock() < allowed_at:
            raise LoginError(
                f"You cannot get the code in another way before {allowed_at:%H:%M:%S} UTC. Wait until then."
            )
        resent = at_telegram(client.resend_code(work.credentials, code_sent(work.pending)), claim=work.claim)
        keep(work, Step.CODE, resent)
    return work.pending


def login_enter_code(*, bot_id: UUID, code: str, claim: Claim | None = None) -> Bot | None:
    """Log in with the code. Returns the bot, or None if the account's password is needed next."""
    with _step(bot_id, Step.CODE, claim, within=Step.CODE) as work:
        sent = code_sent(work.pending)
        try:
            session, me = at_telegram(client.sign_in(work.credentials, sent, code), claim=work.claim)
        except PasswordNeeded as needed:
            keep_password_step(work, needed)
            return None
        return _done(work, session, me)


def login_enter_password(*, bot_id: UUID, password: str, claim: Claim | None = None) -> Bot:
    with _step(bot_id, Step.PASSWORD, claim, within=Step.PASSWORD) as work:
        if not password:
            raise LoginError(SENTENCES["PASSWORD_EMPTY"], reason="PASSWORD_EMPTY")
        unfinished = json.loads(work.pending.state)["session"]
        session, me = at_telegram(client.check_password(work.credentials, unfinished, password), claim=work.claim)
        return _done(work, session, me)


def login_by_qr(*, bot_id: UUID, claim: Claim) -> Bot | None:
    """Keep a current QR code in the row until it is scanned, as long as a page shows it.

    Continues with the code of another worker, if there is one. Returns the bot, or None if the account's password is
    needed next.
    """
    with _step(bot_id, Step.QR, claim, begin=True) as work:
        shown = qr_code(work.pending).session if work.pending.step == Step.QR else ""

        async def show(code: QrCode) -> None:
            await in_own_thread(keep, work, Step.QR, code)

        showing = client.qr_wait(work.credentials, show, limit=QR_SECONDS, session_text=shown)
        try:
            session, me = at_telegram(while_seen(showing, claim), claim=claim, limit=QR_SECONDS + _QR_MARGIN)
        except PasswordNeeded as needed:
            keep_password_step(work, needed)
            return None
        return _done(work, session, me)


def login_import(*, bot_id: UUID, session: str, claim: Claim) -> Bot:
    """Take over a session that another program has made."""
    with _step(bot_id, Step.START, claim):
        return bot_import(bot_id=bot_id, session=session, claim=claim)


def login_end(*, bot_id: UUID, by: str, claim: Claim) -> None:
    """Log the bot out."""
    with _step(bot_id, Step.START, claim):
        try:
            bot_log_out(bot_id=bot_id, by=by, claim=claim)
        except ClaimLost:
            raise
        except LoginError as error:
            raise LoginError(f"Not logged out: {error}", reason=error.reason) from error


# How a step is carried out.


@contextmanager
def _step(
    bot_id: UUID, kind: Step, claim: Claim | None, *, begin: bool = False, within: Step | None = None
) -> Iterator[Work]:
    """Own the login for one step, with `claim` if it is given, and record what goes wrong. Raises LoginError."""
    bot = Bot.objects.get(pk=bot_id)
    now = database_clock()
    claim = claim or _claimed(bot, now, begin=begin)
    try:
        with _outcome_kept(claim, kind, now) as begun:
            work = claim.insist(partial(_ready, bot, claim, kind, now, begin=begin, within=within))
            begun.append(work)
            yield work
    except DATABASE_ERRORS:
        # The outcome is not recorded: the claim expires, and another worker resumes the login or the page reports it.
        raise
    except BaseException:
        claim.end()
        raise
    claim.end()


@contextmanager
def _outcome_kept(claim: Claim, kind: Step, now: datetime) -> Iterator[list[Work]]:
    """Record in the login's row what goes wrong. The caller appends the step to the list once it has begun."""
    begun: list[Work] = []
    try:
        yield begun
    except ClaimLost as lost:
        if claim.stop.is_set():
            keep_lost(claim, lost)
        else:
            for work in begun:
                _discard_cancelled(work)
        raise
    except LoginError as error:
        keep_problem(claim, kind, error, now)
        raise
    except DATABASE_ERRORS:
        raise
    except Exception:
        claim.insist(lambda: claim.rows.update(problem=UNFORESEEN))
        raise


def _discard_cancelled(work: Work) -> None:
    """End a new login at Telegram that an operator cancelled during the request: it may have succeeded there."""
    row = work.claim.insist(lambda: PendingLogin.objects.filter(pk=work.bot.pk).first())
    if work.pending.state and (row is None or row.state != work.pending.state):
        with suppress(LoginError):
            session_discard(work.credentials, json.loads(work.pending.state)["session"])


def _ready(bot: Bot, claim: Claim, kind: Step, now: datetime, *, begin: bool, within: Step | None) -> Work:
    """Check that the step can be taken now. Raises LoginError if it cannot."""
    pending = claim.rows.first()
    if pending is None or (within is not None and (pending.step != within or pending.expires_at <= now)):
        raise LoginError(OVER)
    if begin and is_driven(bot.pk):
        raise LoginError(CONNECTED)
    if pending.waits_for in (kind, "") and pending.wait_until and pending.wait_until > now:
        raise TooSoon(pending.wait_until)
    return Work(pending, bot, credentials_of(bot), claim)


def _claimed(bot: Bot, now: datetime, *, begin: bool) -> Claim:
    if begin:
        if is_driven(bot.pk):
            raise LoginError(CONNECTED)
        PendingLogin.objects.get_or_create(bot=bot, defaults={"expires_at": now + LOGIN_LIFETIME})
    claim = claim_take(bot_id=bot.pk, owner=TERMINAL, begin=begin)
    if claim is None:
        raise LoginError(BUSY if PendingLogin.objects.filter(pk=bot.pk).exists() else OVER)
    return claim


def _done(work: Work, session: str, me: Me) -> Bot:
    return bot_logged_in(bot_id=work.bot.pk, session=session, me=me, claim=work.claim)
