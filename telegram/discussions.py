"""The discussion group of a channel, in which people comment on its posts (https://core.telegram.org/api/discussion)."""

from typing import Any

from telethon import TelegramClient
from telethon.tl import functions, types

from telegram.calls import call
from telegram.convert import resolved_chat
from telegram.types import ResolvedChat


async def discussion_of(client: TelegramClient, channel: Any) -> ResolvedChat | None:
    """The channel's discussion group; None for a channel without one, and for groups. The account need not be in it."""
    answer = await call(client, functions.channels.GetFullChannelRequest(channel))
    there = {chat.id: chat for chat in answer.chats}
    asked = there.get(answer.full_chat.id)
    if not isinstance(asked, types.Channel) or not asked.broadcast:
        return None
    return resolved_chat(there.get(answer.full_chat.linked_chat_id or 0))
