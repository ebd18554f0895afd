"""Detects updates that this connection has missed and that Telegram does not send."""

from collections.abc import Callable
from typing import Any

from telethon import TelegramClient
from telethon.tl import functions, types


class NoticingClient(TelegramClient):
    """Telethon's client, which also reports missed updates and never uses outdated addresses of data centres.

    Telethon requests missed updates by getDifference. If Telegram answers that the difference is too long, Telethon
    continues with the next updates and reports nothing. If the request fails, Telethon repeats it at the next update or
    after 15 minutes.
    """

    # Called with a channel's bare id, or None for private chats and basic groups, before the next update is handled.
    missed: Callable[[int | None], None] | None = None

    async def __call__(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        channel = isinstance(request, functions.updates.GetChannelDifferenceRequest)
        if not channel and not isinstance(request, functions.updates.GetDifferenceRequest):
            return await super().__call__(request, *args, **kwargs)
        complete = False
        try:
            answer = await super().__call__(request, *args, **kwargs)
            complete = not isinstance(answer, types.updates.DifferenceTooLong | types.updates.ChannelDifferenceTooLong)
            return answer
        finally:
            if not complete and self.missed is not None:
                self.missed(request.channel.channel_id if channel else None)

    async def _get_dc(self, *args: Any, **kwargs: Any) -> Any:
        # Telethon caches the addresses of data centres for the life of the process, which may be months for a worker.
        type(self)._config = None
        return await super()._get_dc(*args, **kwargs)
