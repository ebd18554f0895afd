"""What may be done to a bot: log it in, start and stop it, and note what Telegram made of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from bots.clock import database_clock
from bots.events import BotBannedEvent
from bots.models import Bot, BotBlock, BotSession, Cursor
from bots.states import bot_reset, bot_set_state
from messaging.outbox import publish_on_commit
from telegram.errors import BotDead, RetryAfter
from telegram.login import LoginError, PasswordNeeded, PendingLogin, request_code, sign_in
from telegram.types import Credentials, Me

# Another server (the sandbox) takes any application's id.
SANDBOX_CREDENTIALS = (1, "sandbox")


@dataclass(frozen=True)
class BotFacts:
    """What a process needs to connect a bot."""

    role: str
    credentials: Credentials
    # Whoever prints this must not print the account's key.
    session: str = field(repr=False)


def bot_facts(*, bot_id: UUID) -> BotFacts:
    """Raises BotSession.DoesNotExist when the bot was never logged in."""
    stored = BotSession.objects.select_related("bot").get(pk=bot_id)
    return BotFacts(stored.bot.role, credentials_of(stored.bot), stored.data)


def credentials_of(bot: Bot) -> Credentials:
    """The bot's own application id and hash, else the installation's. Raises LoginError when there are none."""
    api_id, api_hash = bot.api_id or settings.TELEGRAM_API_ID, bot.api_hash or settings.TELEGRAM_API_HASH
    if not (api_id and api_hash) and settings.TELEGRAM_SERVER:
        api_id, api_hash = SANDBOX_CREDENTIALS
    if not (api_id and api_hash):
        raise LoginError("TELEGRAM_API_ID and TELEGRAM_API_HASH are not set; get them at https://my.telegram.org")
    return Credentials(api_id, api_hash, bot.proxy_url)


# Logging in.


def bot_connect(*, bot_id: UUID, session: str, me: Me) -> Bot:
    """Keep a fresh login. The bot may connect again, whatever barred it; an owner of the old login is fenced off.

    Raises LoginError when the account is another bot's already.
    """
    with transaction.atomic():
        bot = Bot.objects.select_for_update().get(pk=bot_id)
        if Bot.objects.filter(telegram_user_id=me.user_id).exclude(pk=bot_id).exists():
            raise LoginError("another bot is logged in to this account already")
        if bot.telegram_user_id not in (None, me.user_id):
            _forget_account(bot_id)
        Bot.objects.filter(pk=bot_id).update(
            telegram_user_id=me.user_id, username=me.username, lease_epoch=F("lease_epoch") + 1
        )
        BotSession.objects.update_or_create(bot_id=bot_id, defaults={"data": session})
        bot_reset(bot_id=bot_id, reason="Logged in")
    bot.refresh_from_db()
    return bot


def _forget_account(bot_id: UUID) -> None:
    """Another account numbers its private chats and basic groups differently, and was asked to wait for nothing. The
    same one still is: Telegram's waits outlive a login.
    """
    Cursor.objects.filter(bot_id=bot_id).delete()
    BotBlock.objects.filter(bot_id=bot_id).delete()
    Bot.objects.filter(pk=bot_id).update(blocked_until=None)


def bot_request_code(*, bot_id: UUID) -> PendingLogin:
    """Have Telegram send a login code to the bot's account. Raises LoginError with a sentence for the operator."""
    bot = Bot.objects.get(pk=bot_id)
    return asyncio.run(request_code(credentials_of(bot), bot.phone))


def bot_sign_in(*, bot_id: UUID, pending: PendingLogin, code: str, password: str | None = None) -> Bot:
    """Log the bot in with the code. Raises LoginError, and PasswordNeeded when the account has one."""
    session, me = asyncio.run(sign_in(pending, code, password))
    return bot_connect(bot_id=bot_id, session=session, me=me)


def bot_connect_with_code(
    *, bot_id: UUID, ask_code: Callable[[], str], ask_password: Callable[[], str] | None = None
) -> Bot:
    """The whole login, synchronously; `ask_code` is called once Telegram has sent a code. Raises LoginError."""
    pending = bot_request_code(bot_id=bot_id)
    code = ask_code()
    try:
        return bot_sign_in(bot_id=bot_id, pending=pending, code=code)
    except PasswordNeeded as needed:
        if ask_password is None:
            raise
        return bot_sign_in(bot_id=bot_id, pending=needed.pending, code="", password=ask_password())


# What a person decides.


def bot_stop(*, bot_id: UUID, reason: str) -> bool:
    """Take a bot off Telegram until `bot_start`; its session ends within seconds."""
    return bot_set_state(bot_id=bot_id, state=Bot.State.STOPPED, reason=reason)


def bot_start(*, bot_id: UUID, reason: str) -> bool:
    """Let a stopped bot work again; one that was restricted when it was stopped still is.

    A banned or logged-out one needs `bot_connect`.
    """
    stopped = Bot.objects.filter(pk=bot_id, state=Bot.State.STOPPED)
    return stopped.exists() and bot_reset(bot_id=bot_id, reason=reason)


def bot_release(*, bot_id: UUID, reason: str) -> bool:
    """A person has looked at a restricted account: its first contacts go out again."""
    restricted = Bot.objects.filter(pk=bot_id, state=Bot.State.RESTRICTED)
    return restricted.exists() and bot_reset(bot_id=bot_id, reason=reason, release=True)


# What a session learns of its account. `epoch` fences it: a former owner changes nothing.


def bot_connected(*, bot_id: UUID, epoch: int, me: Me) -> None:
    mine = Bot.objects.filter(pk=bot_id, lease_epoch=epoch)
    mine.exclude(telegram_user_id=me.user_id, username=me.username).update(
        telegram_user_id=me.user_id, username=me.username
    )


def session_save(*, bot_id: UUID, epoch: int, text: str) -> bool:
    """Keep the session's text; False when the bot is somebody else's by now."""
    mine = BotSession.objects.filter(bot_id=bot_id, bot__lease_epoch=epoch)
    return bool(mine.update(data=text, updated_at=timezone.now()))


def bot_must_wait(*, bot_id: UUID, epoch: int, error: RetryAfter) -> None:
    """Telegram asked the account as a whole to wait: it is not connected before that is over."""
    until = database_clock() + timedelta(seconds=error.seconds)
    with transaction.atomic():
        if Bot.objects.filter(pk=bot_id, lease_epoch=epoch).update(blocked_until=until):
            bot_set_state(bot_id=bot_id, epoch=epoch, state=Bot.State.WAITING, reason=error.reason, until=until)


def bot_died(*, bot_id: UUID, epoch: int, error: BotDead) -> None:
    """The account is banned or logged out: it is left alone until a person has logged it in, and they are told."""
    state = Bot.State.NEEDS_LOGIN if error.needs_login else Bot.State.BANNED
    comment = f"{error.reason}: it has to be logged in again" if error.needs_login else error.reason
    with transaction.atomic():
        if bot_set_state(bot_id=bot_id, epoch=epoch, state=state, reason=error.reason):
            publish_on_commit(BotBannedEvent(worker_id=bot_id, comment=comment))
