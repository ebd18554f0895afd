"""Flood waits: how long Telegram asked a bot to wait, by method and chat or person."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from bots.accounts.incidents import trouble_tell
from bots.accounts.states import bot_set_state
from bots.models import Bot, BotBlock
from messaging.database.clock import database_clock
from telegram.errors import RetryAfter

# Telegram's method of looking at messages again (`bots.worker.message_changes`): a bot that waits with it does all its
# work.
LOOKING = "GetMessages"
# Its method of listing the account's chats (`bots.worker.serving`): without the list the account knows no chat.
LISTING = "GetDialogs"
# Telegram's methods without which no chat can be entered and read: a wait with any of them keeps the bot outside.
ENTERING = (
    "JoinChannel",
    "ImportChatInvite",
    "CheckChatInvite",
    "ResolveUsername",
    "GetChannels",
    "GetChats",
    "GetHistory",
)
# Telegram asks for seconds to hours in passing; for days only an account that it has come to distrust.
LONG_WAIT = timedelta(days=1)


def block_keep(*, bot_id: UUID, method: str, peer_id: int, until: datetime, reason: str) -> None:
    """Keep a wait for the whole time; of two for the same thing the later end counts. `peer_id` 0: everywhere."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {BotBlock._meta.db_table} AS kept (bot_id, method, peer_id, until, reason) "
            "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (bot_id, method, peer_id) DO UPDATE SET "
            "reason = CASE WHEN excluded.until > kept.until THEN excluded.reason ELSE kept.reason END, "
            "until = greatest(kept.until, excluded.until)",
            [bot_id, method[:80], peer_id, until, reason[:120]],
        )


def long_wait_tell(*, bot_id: UUID, error: RetryAfter, until: datetime) -> None:
    """A wait of more than LONG_WAIT is kept like any other, and reported: somebody should look at the account."""
    if error.seconds <= LONG_WAIT.total_seconds():
        return
    reason = (
        f"Telegram asks bot {bot_id} to wait until {until:%Y-%m-%d %H:%M} UTC with {error.method or 'everything'} "
        f"({error.reason}): look at the account in Telegram and ask @SpamBot why"
    )
    trouble_tell(key=f"wait:{bot_id}:{error.method}", reason=reason)


def method_block(*, bot_id: UUID, error: RetryAfter) -> None:
    """Keep the whole wait that Telegram asked for, with the method that it refused."""
    until = database_clock() + timedelta(seconds=error.seconds)
    block_keep(bot_id=bot_id, method=error.method, peer_id=0, until=until, reason=error.reason)
    long_wait_tell(bot_id=bot_id, error=error, until=until)


def seconds_blocked(*, bot_id: UUID, methods: Collection[str]) -> float:
    """What is left of the longest wait with one of these methods everywhere; 0 when there is none."""
    now = database_clock()
    blocks = BotBlock.objects.filter(bot_id=bot_id, method__in=methods, peer_id=0, until__gt=now)
    block = blocks.order_by("-until").first()
    return (block.until - now).total_seconds() if block is not None else 0.0


def connected_show(*, bot_id: UUID, epoch: int, bearable: Collection[str] = (LOOKING, LISTING)) -> None:
    """Online, or waiting while Telegram wants the whole account to wait with something that its work needs: with
    another method than the `bearable` ones."""
    blocks = BotBlock.objects.filter(bot_id=bot_id, peer_id=0, until__gt=database_clock())
    block = blocks.exclude(method__in=bearable).order_by("-until").first()
    if block is None:
        bot_set_state(bot_id=bot_id, epoch=epoch, state=Bot.State.ONLINE)
        return
    what = "lets it enter no chats for now" if block.method in ENTERING else "asked it to wait"
    reason = f"Telegram {what}: {block.reason} ({block.method})"
    bot_set_state(bot_id=bot_id, epoch=epoch, state=Bot.State.WAITING, reason=reason, until=block.until)
