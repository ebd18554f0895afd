"""Enters the discussion groups of the channels that a bot reads, to read the comments on the channels' posts."""

import logging
import time
from collections.abc import Collection
from uuid import UUID

from bots.chats.discussions import discussion_store
from bots.chats.joins import join_claim
from bots.worker.executor import in_db
from bots.worker.reading import Reading
from telegram.client import TelegramAccount
from telegram.errors import (
    BotDead,
    BotFull,
    BotRestricted,
    PassingError,
    RetryAfter,
    TelegramError,
    TransientError,
)

# Seconds between looks for a channel's group: it may be linked, exchanged or removed at any time.
LOOK_SECONDS = 600.0
_OF_THE_ACCOUNT = (BotDead, TransientError, RetryAfter, BotRestricted, BotFull)

log = logging.getLogger(__name__)


class Discussions:
    """The discussion groups of one bot's channels during one lease."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._bot_id = reading.reader.bot_id
        # The groups (marked ids) by the channels' rows.
        self._groups: dict[UUID, int] = {}
        # On time.monotonic(), by the channels' rows.
        self._not_before: dict[UUID, float] = {}

    def begin(self) -> None:
        """Start a new connection."""
        self._not_before.clear()

    def keep_only(self, chat_ids: Collection[UUID]) -> set[int]:
        """Forget the groups of other channels. Returns those that are left."""
        self._groups = {chat: group for chat, group in self._groups.items() if chat in chat_ids}
        return set(self._groups.values())

    async def look_after(self, account: TelegramAccount, channels: dict[UUID, int], *, may_join: bool) -> None:
        """Enter the groups of these channels (marked ids by row).

        Raises errors that concern the whole account: BotDead, TransientError, RetryAfter, BotRestricted and BotFull.
        """
        for chat_id, peer_id in channels.items():
            if time.monotonic() < self._not_before.get(chat_id, 0.0):
                continue
            self._not_before[chat_id] = time.monotonic() + LOOK_SECONDS
            try:
                await self._enter(account, chat_id, peer_id, may_join=may_join)
            except TelegramError as error:
                if isinstance(error, _OF_THE_ACCOUNT) and not isinstance(error, PassingError):
                    raise
                log.info("bot %s does not read the comments of %s: %s", self._bot_id, peer_id, error.reason)

    async def _enter(self, account: TelegramAccount, chat_id: UUID, peer_id: int, *, may_join: bool) -> None:
        found = await account.discussion(peer_id)
        await in_db(discussion_store, chat_id=chat_id, discussion_id=None if found is None else found.telegram_id)
        if found is None:
            self._groups.pop(chat_id, None)
            return
        if found.left:
            paced = 60.0 if not may_join else await in_db(join_claim, bot_id=self._bot_id, chat_id=chat_id)
            if paced:
                self._not_before[chat_id] = time.monotonic() + paced
                return
            await account.join(str(found.telegram_id), found.telegram_id)
        self._groups[chat_id] = found.telegram_id
        await self._reading.watch(found.telegram_id)
