"""The parts of a running session and of the runtime that the sender uses, as typing protocols."""

import asyncio
from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from telegram.client import TelegramAccount
from telegram.errors import TelegramError


class LiveSession(Protocol):
    """One bot that this process owns and connects. Use it only on the runtime's event loop."""

    bot_id: UUID
    epoch: int
    # Replaced at every reconnect, so do not keep it. None while disconnected.
    account: TelegramAccount | None
    # Whether the bot is connected, has joined its chats as far as possible, and has caught up with missed messages.
    ready: bool

    @property
    def chats(self) -> Mapping[UUID, int]:
        """The chats that the bot is known to be a member of: campaigns.Chat id → marked id."""

    def lease_valid(self) -> bool:
        """Whether this process still owns the bot, by its own monotonic clock. Call it just before each send."""

    def check_chats_now(self) -> None:
        """Join missing chats at once, not in the next round, because a delivery waits for one."""

    def report(self, error: TelegramError) -> None:
        """Report an error of a request that another part of the process made over the session's connection.

        BotDead ends the session and marks the bot. TransientError makes the session reconnect if the connection is
        lost. The session ignores all other errors.
        """


class LiveRuntime(Protocol):
    """The bots of this process and the loop that they share."""

    # The name of the process in the database (Host.name).
    name: str
    loop: asyncio.AbstractEventLoop

    @property
    def sessions(self) -> Mapping[UUID, LiveSession]: ...
