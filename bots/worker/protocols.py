"""The parts of a running session and of the runtime that the sender uses, as typing protocols."""

import asyncio
from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from telegram.client import TelegramAccount
from telegram.errors import TelegramError


class LiveSession(Protocol):
    """One bot, owned and connected by this process. Used only from the runtime's loop."""

    bot_id: UUID
    epoch: int
    # Replaced at every reconnect: take it from here at the moment of use. None while disconnected.
    account: TelegramAccount | None
    # Connected, member of its chats as far as possible, and caught up. False while reconnecting.
    ready: bool

    @property
    def chats(self) -> Mapping[UUID, int]:
        """The chats (campaigns.Chat ids) that it is known to be a member of, with their marked ids."""

    def lease_valid(self) -> bool:
        """Whether this process still owns the bot, by its own monotonic clock. Ask just before each send."""

    def want_chats(self) -> None:
        """Look at once, not at the next round, which chats the bot is to join: a delivery waits for one."""

    def report(self, error: TelegramError) -> None:
        """Tell the session what a request of another's ran into. BotDead ends it and marks the bot;
        TransientError makes it reconnect when the connection is gone; anything else is the caller's matter.
        """


class LiveRuntime(Protocol):
    """The bots of this process and the loop that they share."""

    # Host.name: the process as the database knows it.
    name: str
    loop: asyncio.AbstractEventLoop

    @property
    def sessions(self) -> Mapping[UUID, LiveSession]: ...
