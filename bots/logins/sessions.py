"""The session of a bot: stores a new login's, takes over another program's, or ends it at Telegram.

To connect with an existing session, a caller has to own the bot meanwhile, as a bots worker does: two connections with
one key destroy the session. A new login has a new key.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from django.db import transaction
from django.db.models import F

from bots.accounts.services import bot_stop, credentials_of
from bots.accounts.states import bot_reset, bot_set_state
from bots.logins.claims import Claim, ClaimLost
from bots.logins.telegram_calls import STEP_SECONDS, at_telegram
from bots.models import Bot, BotBlock, BotSession, Cursor, PendingLogin
from bots.worker.leases import is_driven, lease_borrow, lease_release
from messaging.database.locks import connection_lock, rows_lock
from telegram.connection.session_store import UnreadableSession, key_of
from telegram.logins import client
from telegram.logins.types import LoginError
from telegram.types import Credentials, Me

# Seconds that the lease on a bot lasts during a step of a login: more than any step takes.
BORROW_SECONDS = STEP_SECONDS + 30
# Seconds that a worker has to release a bot before a log-out fails, and seconds between checks.
RELEASE_SECONDS, RELEASE_POLL = 20.0, 0.25

BORROWER = "a login"
CONNECTED = "The account is connected. Stop it, wait until it is disconnected, and try again."
CANCELLED = "This login was cancelled or started anew in the meantime. Start again."
TAKEN_OVER = "Another login is taking over this session now. Wait a minute, then check which account has the session."


def bot_connect(*, bot_id: UUID, session: str, me: Me, claim: Claim | None = None) -> Bot:
    """Store the session of a new login.

    The bot may connect again, whatever its state was; the lease epoch grows, so that an owner of the old session cannot
    write any more. Raises LoginError if another bot has the account already, or if `claim` is given and lost.
    """
    with transaction.atomic():
        # Lock the cursors first, in the same order as recording a message does.
        rows_lock(Cursor.objects.filter(bot_id=bot_id))
        bot = Bot.objects.select_for_update(no_key=True).get(pk=bot_id)
        other = Bot.objects.filter(telegram_user_id=me.user_id).exclude(pk=bot_id).first()
        if other is not None:
            raise LoginError(
                f"This account is already connected as {other.named}. Use that account, or log it out first."
            )
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
    """Like `bot_connect`, but if the bot had an account before, only for that account.

    A `fresh` session that cannot be stored is ended at Telegram. Raises LoginError.
    """

    def keep() -> Bot:
        # An earlier try may have stored the session and then lost the database connection.
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
            f"This login belongs to another account{_at(me.username)}, not to the expected one{_at(bot.username)}. "
            "Log in to the expected account, or connect the other account separately."
        )
    return bot_connect(bot_id=bot_id, session=session, me=me, claim=claim)


def session_discard(credentials: Credentials, session: str, *, claim: Claim | None = None) -> None:
    """End a new session that is not stored. LoginError is ignored."""
    with suppress(LoginError):
        at_telegram(client.log_out(credentials, session), claim=claim)


def bot_import(*, bot_id: UUID, session: str, claim: Claim | None = None) -> Bot:
    """Take over a session (`telegram.logins.session_imports`) that another program has made. Raises LoginError.

    Never connects with a session while a worker drives this bot or another bot with the same session.
    """
    bot = Bot.objects.get(pk=bot_id)
    with _alone_with(key_of(session)):
        _refuse_others_session(bot, session)
        with borrowed(bot):
            adopted, me = at_telegram(client.adopt(credentials_of(bot), session), claim=claim)
        return bot_logged_in(bot_id=bot_id, session=adopted, me=me, fresh=False, claim=claim)


def bot_log_out(*, bot_id: UUID, by: str, claim: Claim | None = None) -> None:
    """Stop the bot and end its session at Telegram. Raises LoginError; the bot is stopped even then."""
    bot_stop(bot_id=bot_id, reason=f"logged out by {by}")
    bot = Bot.objects.get(pk=bot_id)
    stored = BotSession.objects.filter(bot_id=bot_id).first()
    if stored is None:
        raise LoginError("The account is not logged in.")
    _wait_until_released(bot_id, claim)
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
    """Own the bot's lease for one short connection. Raises LoginError if a worker owns it."""
    epoch = lease_borrow(bot_id=bot.pk, owner=BORROWER, seconds=BORROW_SECONDS)
    if epoch is None:
        raise LoginError(CONNECTED)
    try:
        yield
    finally:
        lease_release(bot_id=bot.pk, epoch=epoch)


def _wait_until_released(bot_id: UUID, claim: Claim | None) -> None:
    deadline = time.monotonic() + RELEASE_SECONDS
    while is_driven(bot_id):
        if claim is not None and (claim.stop.is_set() or not claim.renew()):
            raise ClaimLost
        if time.monotonic() > deadline:
            raise LoginError(
                "The account is stopped, but its worker has not released it yet. Log out again in a minute."
            )
        time.sleep(RELEASE_POLL)


@contextmanager
def _alone_with(key: str) -> Iterator[None]:
    """Prevent other logins from connecting with the session of this key. Raises LoginError if one does already."""
    number = int.from_bytes(bytes.fromhex(key)[:8], signed=True)
    with connection_lock(number) as locked:
        if not locked:
            raise LoginError(TAKEN_OVER)
        yield


def _refuse_others_session(bot: Bot, session: str) -> None:
    """Raises LoginError if another bot has the same session, which would then be connected twice."""
    key = key_of(session)
    for stored in BotSession.objects.exclude(bot=bot).select_related("bot").iterator(chunk_size=50):
        with suppress(UnreadableSession):
            if key_of(stored.data) == key:
                raise LoginError(f"This session already belongs to another account, {stored.bot.named}.")


def _forget_account(bot_id: UUID) -> None:
    """Forget the positions and flood waits of the bot's former account.

    Another account numbers its private chats and basic groups differently, and has no flood waits. For the same account
    both remain, because Telegram's waits outlive a login.
    """
    Cursor.objects.filter(bot_id=bot_id).delete()
    BotBlock.objects.filter(bot_id=bot_id).delete()
    Bot.objects.filter(pk=bot_id).update(blocked_until=None)


def _at(username: str) -> str:
    return f" (@{username})" if username else ""


def _digits(phone: str) -> str:
    return re.sub(r"\D", "", phone)
