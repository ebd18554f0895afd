"""Notices that updates were missed for good."""

from collections.abc import Callable
from typing import Any

from telethon import TelegramClient
from telethon.tl import functions, types


class NoticingClient(TelegramClient):
    """Telethon's client, which says so when it could not find out what it has missed, and never uses old addresses.

    Telethon asks for it with a difference. When Telegram answers that it is too long, Telethon goes on with what comes
    next and tells nobody; when the question fails, it asks again at the next update or after 15 minutes.
    """

    # Called with a channel's bare id, or None for private chats and basic groups: before the next update is handled.
    missed: Callable[[int | None], None] | None = None

    async def __call__(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        channel = isinstance(request, functions.updates.GetChannelDifferenceRequest)
        if not channel and not isinstance(request, functions.updates.GetDifferenceRequest):
            return await super().__call__(request, *args, **kwargs)
        told = False
        try:
            answer = await super().__call__(request, *args, **kwargs)
            told = not isinstance(answer, types.updates.DifferenceTooLong | types.updates.ChannelDifferenceTooLong)
            return answer
        finally:
            if not told and self.missed is not None:
                self.missed(request.channel.channel_id if channel else None)

    async def _get_dc(self, *args: Any, **kwargs: Any) -> Any:
        # Telethon keeps the data centres' addresses for the whole process: a worker would use those of months ago.
        type(self)._config = None
        return await super()._get_dc(*args, **kwargs)
