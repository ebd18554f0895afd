"""Logging bots in and out. `bots.logins.steps` does it in steps, for a page; here it is done in one go.

Whoever connects with a session that exists already owns the bot meanwhile, as a worker would: two connections with one
key destroy it. A new login has a key of its own.
"""

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import F

from bots.accounts.services import bot_stop, credentials_of
from bots.accounts.states import bot_reset, bot_set_state
from bots.accounts.unknown_errors import unlisted_tell
from bots.logins.claims import Claim, ClaimLost
from bots.logins.waits import while_claimed
from bots.models import Bot, BotBlock, BotSession, Cursor, PendingLogin
from bots.worker.leases import is_driven, lease_borrow, lease_release
from messaging.database.clock import database_clock
from messaging.database.errors import DATABASE_ERRORS
from messaging.database.locks import connection_lock, rows_lock
from telegram.connection.store import UnreadableSession, key_of
from telegram.logins import client
from telegram.logins.types import LoginError, QrCode, too_many
from telegram.types import Credentials, Me

T = TypeVar("T")

# Seconds for one step of a login, connection included: an operator waits for it.
STEP_SECONDS = 30
# Seconds that a session is borrowed for: longer than a step takes at the very most.
BORROW_SECONDS = STEP_SECONDS + 30
# Seconds that a worker may take to let a bot go before logging out gives up; and how often it is looked at.
LET_GO_SECONDS, LET_GO_POLL = 20.0, 0.25
# Seconds that a QR code is shown for somebody to scan it.
QR_SECONDS = 300.0

BORROWER = "a login"
CONNECTED = "The bot is connected right now. Stop it, wait until nobody drives it, and try again."
CANCELLED = "This login was cancelled meanwhile, or begun anew. Start again."
TAKEN_OVER = (
    "This session is being taken over at this moment, perhaps for another bot. See which bot has it afterwards."
)
SLOW = "Telegram did not answer in time. Check the network of this machine and try again."


class TooSoon(LoginError):
    """Trying again before `wait_until` (the database's clock) only prolongs it."""

    def __init__(self, wait_until: datetime, *, reason: str = "") -> None:
        super().__init__(too_many(wait_until), reason=reason)
        self.wait_until = wait_until


def at_telegram(step: Coroutine[Any, Any, T], *, claim: Claim | None = None, limit: float = STEP_SECONDS) -> T:
    """Run a step of `telegram.logins.client` in a loop of its own. Not within a transaction. `claim` is kept alive
    meanwhile.

    The connection is closed by then, however it ends. Raises LoginError: TooSoon when Telegram asks to wait, ClaimLost.
    """

    async def limited() -> T:
        async with asyncio.timeout(limit):
            return await (step if claim is None else while_claimed(step, claim))

    try:
        return asyncio.run(limited())
    except TimeoutError:
        raise LoginError(SLOW) from None
    except LoginError as error:
        if error.wait_seconds is None:
            raise
        now = database_clock() if claim is None else claim.insist(database_clock)
        raise TooSoon(now + timedelta(seconds=error.wait_seconds), reason=error.reason) from error
    finally:
        # Must not cost the step's result; what cannot be written down now is written down later.
        with suppress(*DATABASE_ERRORS):
            unlisted_tell()


def bot_connect(*, bot_id: UUID, session: str, me: Me, claim: Claim | None = None) -> Bot:
    """Keep a fresh login. The bot may connect again, whatever barred it; an owner of the old login is fenced off.

    Raises LoginError when the account is another bot's already, or `claim` is given and lost.
    """
    with transaction.atomic():
        # First, as recording a message does.
        rows_lock(Cursor.objects.filter(bot_id=bot_id))
        bot = Bot.objects.select_for_update(no_key=True).get(pk=bot_id)
        other = Bot.objects.filter(telegram_user_id=me.user_id).exclude(pk=bot_id).first()
        if other is not None:
            raise LoginError(f"This is the account of another bot already, {other.named}. Use that one, or log it out.")
        if bot.telegram_user_id not in (None, me.user_id):
            _forget_account(bot_id)
        if me.phone and _digits(bot.phone) != _digits(me.phone):
            Bot.objects.filter(pk=bot_id).update(phone=f"+{_digits(me.phone)}")
        Bot.objects.filter(pk=bot_id).update(
            telegram_user_id=me.user_id, username=me.username, lease_epoch=F("lease_epoch") + 1
        )
        BotSession.objects.update_or_create(bot_id=bot_id, defaults={"data": session})
        _forget_pending(bot_id, claim)
        bot_reset(bot_id=bot_id, reason="Logged in")
    bot.refresh_from_db()
    return bot


def _forget_pending(bot_id: UUID, claim: Claim | None) -> None:
    rows = PendingLogin.objects.filter(bot_id=bot_id) if claim is None else claim.rows
    if not rows.delete()[0] and claim is not None:
        raise LoginError(CANCELLED)


def bot_logged_in(*, bot_id: UUID, session: str, me: Me, fresh: bool = True, claim: Claim | None = None) -> Bot:
    """As `bot_connect`, but only for the account that was the bot's before, if any. A `fresh` session that is not
    kept is ended at Telegram. Raises LoginError.
    """

    def keep() -> Bot:
        # Kept by a try whose answer the database did not live to give?
        stored = BotSession.objects.filter(bot_id=bot_id).select_related("bot").first()
        if claim is not None and stored is not None and stored.data == session:
            return stored.bot
        return _kept(bot_id, session, me, claim)

    try:
        return keep() if claim is None else claim.insist(keep)
    except LoginError:
        if fresh:
            _discard(bot_id, session, claim)
        raise


def _discard(bot_id: UUID, session: str, claim: Claim | None) -> None:
    def credentials() -> Credentials:
        return credentials_of(Bot.objects.get(pk=bot_id))

    if claim is None:
        session_discard(credentials(), session)
    else:
        found = claim.insist(credentials)
        session_discard(found, session, claim=claim if claim.insist(claim.renew) else None)


def _kept(bot_id: UUID, session: str, me: Me, claim: Claim | None) -> Bot:
    bot = Bot.objects.get(pk=bot_id)
    if bot.telegram_user_id not in (None, me.user_id):
        raise LoginError(
            f"This is another account{_at(me.username)} than the bot's{_at(bot.username)}. "
            "Log in with the bot's own, or connect the other one as a new bot."
        )
    return bot_connect(bot_id=bot_id, session=session, me=me, claim=claim)


def session_discard(credentials: Credentials, session: str, *, claim: Claim | None = None) -> None:
    """End a new session that nobody keeps, as far as Telegram lets it."""
    with suppress(LoginError):
        at_telegram(client.log_out(credentials, session), claim=claim)


def bot_connect_with_code(*, bot_id: UUID, ask_code: Callable[[], str]) -> Bot:
    """The whole login of an account without a password; `ask_code` is called once Telegram has sent a code. Raises
    LoginError.
    """
    bot = Bot.objects.get(pk=bot_id)
    credentials = credentials_of(bot)
    sent = at_telegram(client.request_code(credentials, bot.phone))
    session, me = at_telegram(client.sign_in(credentials, sent, ask_code()))
    return bot_connect(bot_id=bot_id, session=session, me=me)


def bot_connect_with_qr(*, bot_id: UUID, show: Callable[[QrCode], object]) -> Bot:
    """The whole login; `show` is called with each code to show, until one is scanned. Raises LoginError;
    PasswordNeeded when it goes on with `bot_connect_with_password`.
    """
    credentials = credentials_of(Bot.objects.get(pk=bot_id))

    async def shown(code: QrCode) -> None:
        show(code)

    session, me = asyncio.run(client.qr_wait(credentials, shown, limit=QR_SECONDS))
    return bot_logged_in(bot_id=bot_id, session=session, me=me)


def bot_connect_with_password(*, bot_id: UUID, session: str, password: str) -> Bot:
    """The second factor; `session` is PasswordNeeded's. May be tried again with another password. Raises LoginError."""
    credentials = credentials_of(Bot.objects.get(pk=bot_id))
    logged_in, me = at_telegram(client.check_password(credentials, session, password))
    return bot_logged_in(bot_id=bot_id, session=logged_in, me=me)


def bot_import(*, bot_id: UUID, session: str, claim: Claim | None = None) -> Bot:
    """Take over a session (`telegram.logins.imports`) that another program has made. Raises LoginError.

    Never connects with the session of a bot that somebody drives, this one or another.
    """
    bot = Bot.objects.get(pk=bot_id)
    with _alone_with(key_of(session)):
        _refuse_others_session(bot, session)
        with borrowed(bot):
            adopted, me = at_telegram(client.adopt(credentials_of(bot), session), claim=claim)
        return bot_logged_in(bot_id=bot_id, session=adopted, me=me, fresh=False, claim=claim)


def bot_log_out(*, bot_id: UUID, by: str, claim: Claim | None = None) -> None:
    """Take the bot off Telegram and end its session there. Raises LoginError: then the bot is stopped, no more."""
    bot_stop(bot_id=bot_id, reason=f"logged out by {by}")
    bot = Bot.objects.get(pk=bot_id)
    stored = BotSession.objects.filter(bot_id=bot_id).first()
    if stored is None:
        raise LoginError("The bot is not logged in.")
    _wait_until_let_go(bot_id, claim)
    with borrowed(bot):
        at_telegram(client.log_out(credentials_of(bot), stored.data), claim=claim)
        if claim is None:
            _logged_out(bot_id, by)
        else:
            claim.insist(lambda: _logged_out(bot_id, by))


@transaction.atomic
def _logged_out(bot_id: UUID, by: str) -> None:
    BotSession.objects.filter(bot_id=bot_id).delete()
    PendingLogin.objects.filter(bot_id=bot_id).delete()
    bot_set_state(bot_id=bot_id, state=Bot.State.STOPPED, reason=f"logged out by {by}")


@contextmanager
def borrowed(bot: Bot) -> Iterator[None]:
    """Own the bot for one short connection. Raises LoginError when somebody else does."""
    epoch = lease_borrow(bot_id=bot.pk, owner=BORROWER, seconds=BORROW_SECONDS)
    if epoch is None:
        raise LoginError(CONNECTED)
    try:
        yield
    finally:
        lease_release(bot_id=bot.pk, epoch=epoch)


def _wait_until_let_go(bot_id: UUID, claim: Claim | None) -> None:
    deadline = time.monotonic() + LET_GO_SECONDS
    while is_driven(bot_id):
        if claim is not None and (claim.stop.is_set() or not claim.renew()):
            raise ClaimLost
        if time.monotonic() > deadline:
            raise LoginError("The bot is stopped, but its worker has not let it go yet. Log out again in a minute.")
        time.sleep(LET_GO_POLL)


@contextmanager
def _alone_with(key: str) -> Iterator[None]:
    """No other login connects with the session of this key meanwhile. Raises LoginError when one does already."""
    number = int.from_bytes(bytes.fromhex(key)[:8], signed=True)
    with connection_lock(number) as locked:
        if not locked:
            raise LoginError(TAKEN_OVER)
        yield


def _refuse_others_session(bot: Bot, session: str) -> None:
    """The same session in two bots would be connected twice."""
    key = key_of(session)
    for stored in BotSession.objects.exclude(bot=bot).select_related("bot").iterator(chunk_size=50):
        with suppress(UnreadableSession):
            if key_of(stored.data) == key:
                raise LoginError(f"This is the session of another bot already, {stored.bot.named}.")


def _forget_account(bot_id: UUID) -> None:
    """Another account numbers its private chats and basic groups differently, and was asked to wait for nothing. The
    same one still is: Telegram's waits outlive a login.
    """
    Cursor.objects.filter(bot_id=bot_id).delete()
    BotBlock.objects.filter(bot_id=bot_id).delete()
    Bot.objects.filter(pk=bot_id).update(blocked_until=None)


def _at(username: str) -> str:
    return f" (@{username})" if username else ""


def _digits(phone: str) -> str:
    return re.sub(r"\D", "", phone)
