"""Flood waits: until when Telegram asked a bot to wait, by method and by chat or person."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from bots.accounts.incidents import incident_report
from bots.accounts.states import bot_set_state
from bots.models import Bot, BotBlock
from messaging.database.clock import database_clock
from telegram.errors import RetryAfter

# Telegram's method with which `bots.worker.message_changes` checks messages for changes. During a flood wait for
# this method a bot can do all its other work.
CHECK_MESSAGES = "GetMessages"
# Telegram's method with which `bots.worker.serving` lists the account's chats. The account knows no chat without it.
LIST_CHATS = "GetDialogs"
# Telegram's methods that a bot needs to join and read a chat. During a flood wait for one of them it joins no chats.
JOIN_METHODS = (
    "JoinChannel",
    "ImportChatInvite",
    "CheckChatInvite",
    "ResolveUsername",
    "GetChannels",
    "GetChats",
    "GetHistory",
)
# Ordinary flood waits last seconds to hours. Telegram asks only accounts that it distrusts to wait for days.
LONG_WAIT = timedelta(days=1)


def flood_wait_record(*, bot_id: UUID, method: str, peer_id: int, until: datetime, reason: str) -> None:
    """Store a flood wait. `peer_id` 0 is for all chats and people.

    If there already is one for the same method and peer, the later end counts.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {BotBlock._meta.db_table} AS kept (bot_id, method, peer_id, until, reason) "
            "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (bot_id, method, peer_id) DO UPDATE SET "
            "reason = CASE WHEN excluded.until > kept.until THEN excluded.reason ELSE kept.reason END, "
            "until = greatest(kept.until, excluded.until)",
            [bot_id, method[:80], peer_id, until, reason[:120]],
        )


def long_wait_report(*, bot_id: UUID, error: RetryAfter, until: datetime) -> None:
    """Report a flood wait that is longer than LONG_WAIT as an incident, because an operator should check the account.

    The caller stores the flood wait.
    """
    if error.seconds <= LONG_WAIT.total_seconds():
        return
    reason = (
        f"Telegram does not let account {bot_id} call {error.method or 'any method'} until {until:%Y-%m-%d %H:%M} UTC "
        f"({error.reason}): check the account in Telegram and ask @SpamBot why"
    )
    incident_report(key=f"wait:{bot_id}:{error.method}", reason=reason)


def method_wait_record(*, bot_id: UUID, error: RetryAfter) -> None:
    """Store a flood wait, for all chats, for the whole time and the method of the error."""
    until = database_clock() + timedelta(seconds=error.seconds)
    flood_wait_record(bot_id=bot_id, method=error.method, peer_id=0, until=until, reason=error.reason)
    long_wait_report(bot_id=bot_id, error=error, until=until)


def flood_wait_seconds(*, bot_id: UUID, methods: Collection[str]) -> float:
    """The remaining seconds of the longest flood wait for one of these methods in all chats; 0 without one."""
    now = database_clock()
    blocks = BotBlock.objects.filter(bot_id=bot_id, method__in=methods, peer_id=0, until__gt=now)
    block = blocks.order_by("-until").first()
    return (block.until - now).total_seconds() if block is not None else 0.0


def connected_state_set(*, bot_id: UUID, epoch: int, bearable: Collection[str] = (CHECK_MESSAGES, LIST_CHATS)) -> None:
    """Set a connected bot's state: waiting during a flood wait for a method that its work needs, otherwise online.

    Only flood waits for all chats count, except those for the `bearable` methods.
    """
    blocks = BotBlock.objects.filter(bot_id=bot_id, peer_id=0, until__gt=database_clock())
    block = blocks.exclude(method__in=bearable).order_by("-until").first()
    if block is None:
        bot_set_state(bot_id=bot_id, epoch=epoch, state=Bot.State.ONLINE)
        return
    what = "does not let the account join chats" if block.method in JOIN_METHODS else "asked the account to wait"
    reason = f"Telegram {what}: {block.reason} ({block.method})"
    bot_set_state(bot_id=bot_id, epoch=epoch, state=Bot.State.WAITING, reason=reason, until=block.until)
