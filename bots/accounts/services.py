"""Start, stop and release a bot, and record what its session learns about the account.

Logging in is in `bots.logins`.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from bots.accounts.flood_waits import long_wait_report
from bots.accounts.states import bot_reset, bot_set_state
from bots.events import BotBannedEvent
from bots.models import Bot, BotSession
from messaging.database.clock import database_clock
from messaging.publishing.outbox import publish_on_commit
from telegram.errors import BotDead, RetryAfter
from telegram.logins.types import LoginError
from telegram.types import Credentials, Me

# The sandbox accepts every application id.
SANDBOX_CREDENTIALS = (1, "sandbox")
NO_API_ID = (
    "There is no API id. Get one with its hash at https://my.telegram.org and enter both on the account's page, "
    "or set TELEGRAM_API_ID and TELEGRAM_API_HASH."
)


@dataclass(frozen=True)
class BotFacts:
    """What a process needs to connect a bot."""

    role: str
    credentials: Credentials
    # Not in the repr: it contains the account's key.
    session: str = field(repr=False)


def bot_facts(*, bot_id: UUID) -> BotFacts:
    """What is needed to connect the bot. Raises BotSession.DoesNotExist if no login of the bot is stored."""
    stored = BotSession.objects.select_related("bot").get(pk=bot_id)
    return BotFacts(stored.bot.role, credentials_of(stored.bot), stored.data)


def credentials_of(bot: Bot) -> Credentials:
    """The bot's own application id and hash, or else the installation's. Raises LoginError if there are none."""
    api_id, api_hash = bot.api_id or settings.TELEGRAM_API_ID, bot.api_hash or settings.TELEGRAM_API_HASH
    if not (api_id and api_hash) and settings.TELEGRAM_SERVER:
        api_id, api_hash = SANDBOX_CREDENTIALS
    if not (api_id and api_hash):
        raise LoginError(NO_API_ID)
    return Credentials(api_id, api_hash, bot.proxy_url)


# Operators' decisions.


def bot_stop(*, bot_id: UUID, reason: str) -> bool:
    """Disconnect a bot until `bot_start`; its session ends within seconds. False if its state does not allow that."""
    return bot_set_state(bot_id=bot_id, state=Bot.State.STOPPED, reason=reason)


def bot_start(*, bot_id: UUID, reason: str) -> bool:
    """Let a stopped bot work again. False if it is not stopped: a banned or logged-out bot has to be logged in.

    A bot that was restricted when it was stopped is restricted again.
    """
    stopped = Bot.objects.filter(pk=bot_id, state=Bot.State.STOPPED)
    return stopped.exists() and bot_reset(bot_id=bot_id, reason=reason)


def bot_release(*, bot_id: UUID, reason: str) -> bool:
    """Lift an account's restriction after an operator has checked it, so that it sends first contacts again.

    False if the account is not restricted.
    """
    restricted = Bot.objects.filter(pk=bot_id, state=Bot.State.RESTRICTED)
    return restricted.exists() and bot_reset(bot_id=bot_id, reason=reason, release=True)


# What a session learns about its account. These functions change nothing unless `epoch` is the current one, so that a
# former owner of the bot overwrites nothing.


def bot_connected(*, bot_id: UUID, epoch: int, me: Me) -> None:
    mine = Bot.objects.filter(pk=bot_id, lease_epoch=epoch)
    mine.exclude(telegram_user_id=me.user_id, username=me.username).update(
        telegram_user_id=me.user_id, username=me.username
    )


def session_save(*, bot_id: UUID, epoch: int, text: str) -> bool:
    """Store the session's text. False if another process owns the bot now."""
    mine = BotSession.objects.filter(bot_id=bot_id, bot__lease_epoch=epoch)
    return bool(mine.update(data=text, updated_at=Now()))


def bot_must_wait(*, bot_id: UUID, epoch: int, error: RetryAfter) -> None:
    """Record that Telegram asked the whole account to wait. No process connects the bot before that time is over."""
    until = database_clock() + timedelta(seconds=error.seconds)
    with transaction.atomic():
        if Bot.objects.filter(pk=bot_id, lease_epoch=epoch).update(blocked_until=until):
            bot_set_state(bot_id=bot_id, epoch=epoch, state=Bot.State.WAITING, reason=error.reason, until=until)
            long_wait_report(bot_id=bot_id, error=error, until=until)


def bot_died(*, bot_id: UUID, epoch: int, error: BotDead) -> None:
    """Record that the account is banned or logged out, and publish that.

    No process connects the bot before an operator has logged it in.
    """
    state = Bot.State.NEEDS_LOGIN if error.needs_login else Bot.State.BANNED
    comment = f"{error.reason}: it has to be logged in again" if error.needs_login else error.reason
    with transaction.atomic():
        if bot_set_state(bot_id=bot_id, epoch=epoch, state=state, reason=error.reason):
            publish_on_commit(BotBannedEvent(worker_id=bot_id, comment=comment))
