"""What the login pages call: writes the operator's request into the login's row, and reads the login's progress.

A bots worker does the rest (`bots.logins.login_worker`), so a web request never waits for Telegram.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Greatest, Now

from bots.accounts.services import bot_stop, credentials_of
from bots.logins.claims import FREE, UNOWNED, claim_lapse, claims_alive
from bots.logins.pending_logins import LOGIN_LIFETIME, login_pending, number_known
from bots.logins.sessions import CONNECTED
from bots.logins.steps import BUSY, NO_PHONE, OVER
from bots.models import Bot, BotSession, PendingLogin
from bots.worker.hosts import hosts_open
from bots.worker.leases import is_driven
from messaging.database.clock import database_clock
from telegram.logins.types import LoginError

Ask = PendingLogin.Ask
Step = PendingLogin.Step

# The step of a login in which each of these requests is possible. All other requests begin a new login.
_WITHIN: dict[str, Step] = {Ask.RESEND: Step.CODE, Ask.CODE: Step.CODE, Ask.PASSWORD: Step.PASSWORD}
# Requests that open a connection, which a running session of the bot forbids.
_CONNECTING = frozenset({Ask.SEND, Ask.QR, Ask.IMPORT})

NOT_LOGGED_IN = "The account is not logged in."
LOGGING_OUT = "The account is being logged out. Wait until that is done; it takes less than a minute."
NO_WORKER = "No worker accepts logins: start a process …_bots of the Procfile. The login then continues automatically."
STARTING = "A worker will begin in a moment."


@dataclass(frozen=True)
class Progress:
    """The progress of a login.

    `doing` is what a worker does for it or is to do, "" while the login waits for the operator. `why` is the reason why
    a worker is not doing it yet.
    """

    pending: PendingLogin | None
    doing: str = ""
    why: str = ""


def login_ask(*, bot_id: UUID, ask: str, by: str, given: str = "") -> None:
    """Request a step from a worker; `given` is the operator's input. Raises LoginError if the step is refused."""
    bot = Bot.objects.get(pk=bot_id)
    pending = login_pending(bot_id=bot_id)
    _refuse_hopeless(bot, pending, ask, given)
    until = database_clock() + LOGIN_LIFETIME
    rows = PendingLogin.objects.filter(UNOWNED, pk=bot_id, asked="")
    if ask in _WITHIN:
        rows = rows.filter(step=_WITHIN[ask], expires_at__gt=Now())
    else:
        PendingLogin.objects.get_or_create(bot=bot, defaults={"expires_at": until})
    asked = {"asked": ask, "asked_by": by[:150], "given": given, "problem": ""}
    changes: dict[str, Any] = FREE | asked
    expires = Greatest(F("expires_at"), until)
    if not rows.update(**changes, asked_at=Now(), seen_at=Now(), expires_at=expires):
        raise LoginError(BUSY if _is_busy(bot_id) else OVER)
    if ask == Ask.LOG_OUT:
        bot_stop(bot_id=bot_id, reason=f"logged out by {by}")


def _refuse_hopeless(bot: Bot, pending: PendingLogin | None, ask: str, given: str) -> None:
    """Raises LoginError for requests that cannot succeed, as far as the database shows it."""
    credentials_of(bot)
    if ask in _CONNECTING and is_driven(bot.pk):
        raise LoginError(CONNECTED)
    if ask == Ask.SEND and not (given or number_known(bot, pending)):
        raise LoginError(NO_PHONE)
    if ask == Ask.LOG_OUT and not BotSession.objects.filter(bot=bot).exists():
        raise LoginError(NOT_LOGGED_IN)


def _is_busy(bot_id: UUID) -> bool:
    return PendingLogin.objects.filter(~UNOWNED | ~Q(asked=""), pk=bot_id).exists()


def login_cancel(*, bot_id: UUID) -> None:
    """Cancel the login at once; a worker that works on it stops within seconds. Flood waits remain recorded.

    Raises LoginError while the bot is being logged out.
    """
    rows = PendingLogin.objects.filter(bot_id=bot_id).exclude(asked=Ask.LOG_OUT)
    waiting = Q(wait_until__gt=Now())
    rows.filter(waiting).update(**FREE, step=Step.START, state="")
    rows.filter(~waiting | Q(wait_until__isnull=True)).delete()
    if PendingLogin.objects.filter(bot_id=bot_id, asked=Ask.LOG_OUT).exists():
        raise LoginError(LOGGING_OUT)


def login_progress(*, bot_id: UUID) -> Progress:
    """The login's progress. Also detects that the login's worker has ended, so that the login does not hang."""
    pending = login_pending(bot_id=bot_id)
    if pending is not None and pending.asked and claim_lapse(bot_id=bot_id):
        pending = login_pending(bot_id=bot_id)
    if pending is None or not pending.asked or (pending.asked == Ask.QR and pending.step == Step.QR):
        return Progress(pending)
    return Progress(pending, str(Ask(pending.asked).label), "" if pending.claim else _why_it_waits())


def login_seen(*, bot_id: UUID) -> None:
    """Note that a page shows the login's QR code now."""
    PendingLogin.objects.filter(pk=bot_id, asked=Ask.QR).update(seen_at=Now())


def login_summary(*, bot_id: UUID) -> str:
    """The state of the login for the bot's page: what is being done, or what went wrong; "" if there is neither."""
    progress = login_progress(bot_id=bot_id)
    if progress.doing:
        return " ".join(filter(None, (f"{progress.doing}.", progress.why)))
    return progress.pending.problem if progress.pending is not None else ""


def _why_it_waits() -> str:
    workers = hosts_open()
    if not workers:
        return NO_WORKER
    busy = claims_alive()
    if busy < workers * settings.LOGINS_PER_WORKER:
        return STARTING
    return f"The login waits for a free slot (logins under way: {busy}). It continues automatically."
