"""Reads the history of a chat: one page of it, or page after page in search of a message."""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

from telethon import TelegramClient, utils
from telethon.tl import functions

from telegram.calls import call
from telegram.errors import HistoryTooLong
from telegram.types import IncomingMessage

# The messages per request (Telegram's limit), and how many of the newest messages a search covers.
SEARCH_PAGE = 100
SEARCH_DEPTH = 2000
# Telegram's times are whole seconds by its own clock.
CLOCK_MARGIN = timedelta(seconds=5)


async def messages_after(client: TelegramClient, peer: Any, after_id: int, limit: int) -> tuple[list[Any], Any]:
    """The first `limit` messages with ids above `after_id`, in ascending order, and the answer that they are in."""
    answer = await _page(client, peer, offset_id=after_id + 1, add_offset=-limit, limit=limit)
    newer = [message for message in answer.messages if message.id > after_id]
    return sorted(newer, key=lambda message: message.id), answer


async def newest_messages(client: TelegramClient, peer: Any, limit: int) -> Any:
    return await _page(client, peer, offset_id=0, add_offset=0, limit=limit)


async def messages_before(client: TelegramClient, peer: Any, before_id: int, limit: int) -> tuple[list[Any], Any]:
    """The last `limit` messages with ids below `before_id` (0: the newest), newest first, and their answer."""
    answer = await _page(client, peer, offset_id=before_id, add_offset=0, limit=limit)
    older = [message for message in answer.messages if not before_id or message.id < before_id]
    return sorted(older, key=lambda message: message.id, reverse=True), answer


async def find_newest(
    client: TelegramClient,
    peer: Any,
    read: Callable[[Any], IncomingMessage | None],
    wanted: Callable[[IncomingMessage], bool],
    *,
    since: datetime,
    exclude: Collection[int],
) -> int | None:
    """The id of the newest message that is `wanted`; None if there is none since then. `read` decodes a message.

    Raises HistoryTooLong if the chat has too many newer messages to search all of them.
    """
    searched = offset_id = 0
    while searched < SEARCH_DEPTH:
        answer = await _page(client, peer, offset_id=offset_id, add_offset=0, limit=SEARCH_PAGE)
        page = sorted(answer.messages, key=lambda message: message.id, reverse=True)
        for message in page:
            # Deleted messages have no date.
            at = getattr(message, "date", None)
            if at is not None and at < since - CLOCK_MARGIN:
                return None
            seen = read(message)
            if seen is None or seen.message_id in exclude:
                continue
            if wanted(seen):
                return seen.message_id
        if not page:
            return None
        searched, offset_id = searched + len(page), page[-1].id
    raise HistoryTooLong


def people_in(answer: Any) -> dict[int, Any]:
    """The users and chats in an answer, by marked id."""
    return {utils.get_peer_id(entity): entity for entity in [*answer.users, *answer.chats]}


async def _page(client: TelegramClient, peer: Any, *, offset_id: int, add_offset: int, limit: int) -> Any:
    return await call(
        client,
        functions.messages.GetHistoryRequest(
            peer,
            offset_id=offset_id,
            offset_date=None,
            add_offset=add_offset,
            limit=limit,
            max_id=0,
            min_id=0,
            hash=0,
        ),
    )
