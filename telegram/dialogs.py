"""Reads the account's list of chats page by page, although the list changes meanwhile.

If a message arrives in a dialog between two requests, the dialog moves to the top and is on neither of the two pages.
So after the last page the list is read again from the top, until a page contains nothing new. If a chat is missing in
the list nevertheless, the account may still be in it; `telegram.membership` requests a single chat.
"""

from dataclasses import dataclass, field
from typing import Any

from telethon import TelegramClient, utils
from telethon.tl import functions, types

from telegram.authors import described
from telegram.calls import call
from telegram.types import Dialog
from telegram.usernames import usernames_in

# Dialogs in one request, Telegram's limit.
PAGE = 100
# How often the list is read again from the top at most, for accounts with constant traffic.
ROUNDS = 5


@dataclass
class _Found:
    """`dialogs` by marked id. `whole`: Telegram has answered that a single page is the whole list."""

    dialogs: dict[int, Dialog] = field(default_factory=dict)
    whole: bool = False


async def list_dialogs(client: TelegramClient) -> list[Dialog]:
    """Every dialog once, in its latest state."""
    found = _Found()
    await _read(client, found, to_the_end=True)
    for _ in range(ROUNDS):
        if found.whole or not await _read(client, found, to_the_end=False):
            break
    return list(found.dialogs.values())


async def _read(client: TelegramClient, found: _Found, *, to_the_end: bool) -> bool:
    """Read from the top to the end, or to a page with nothing new. Returns whether anything was new."""
    offset, news = _Offset(), False
    while True:
        page = await call(client, offset.request())
        fresh = _take(client, page, found)
        news = news or fresh
        if not isinstance(page, types.messages.DialogsSlice):
            found.whole = True
            return news
        # A page may have fewer dialogs than requested, so a short page is not the end.
        if not page.dialogs or not offset.move(page) or not (fresh or to_the_end):
            return news


class _Offset:
    """Where the next page begins: after the last dialog that has a message (https://core.telegram.org/api/offsets)."""

    def __init__(self) -> None:
        self._date: Any = None
        self._id = 0
        self._peer: Any = types.InputPeerEmpty()
        # Pinned dialogs are on the first page, however old they are.
        self._pinned = True

    def request(self) -> Any:
        return functions.messages.GetDialogsRequest(
            offset_date=self._date,
            offset_id=self._id,
            offset_peer=self._peer,
            limit=PAGE,
            hash=0,
            exclude_pinned=not self._pinned,
        )

    def move(self, page: Any) -> bool:
        """Move to the next page. False if there is none."""
        before = (self._date, self._id, self._pinned)
        # A deleted message has no date.
        tops = {(utils.get_peer_id(top.peer_id), top.id): top for top in page.messages if getattr(top, "date", None)}
        for dialog in reversed([dialog for dialog in page.dialogs if not getattr(dialog, "pinned", False)]):
            peer_id = utils.get_peer_id(dialog.peer)
            if (top := tops.get((peer_id, dialog.top_message))) is not None:
                self._date, self._id = top.date, top.id
                entity = _entities(page).get(peer_id)
                self._peer = types.InputPeerEmpty() if entity is None else utils.get_input_peer(entity)
                break
        self._pinned = False
        return (self._date, self._id, self._pinned) != before


def _take(client: TelegramClient, page: Any, found: _Found) -> bool:
    """Store the dialogs of the page. Returns whether any of them is new or has a newer message."""
    client._mb_entity_cache.extend(page.users, page.chats)
    entities, fresh = _entities(page), False
    for raw in page.dialogs:
        peer_id = utils.get_peer_id(raw.peer)
        entity = entities.get(peer_id)
        if entity is None or not isinstance(raw, types.Dialog):
            continue
        if raw.pts:
            # From now on Telethon detects missing updates of this supergroup.
            client._message_box.try_set_channel_state(utils.get_peer_id(raw.peer, add_mark=False), raw.pts)
        known = found.dialogs.get(peer_id)
        if known is None or known.top_message_id < raw.top_message:
            fresh = True
            found.dialogs[peer_id] = _dialog(peer_id, raw, entity)
    return fresh


def _entities(page: Any) -> dict[int, Any]:
    there = [
        entity for entity in (*page.users, *page.chats) if not isinstance(entity, types.UserEmpty | types.ChatEmpty)
    ]
    return {utils.get_peer_id(entity): entity for entity in there}


def _dialog(peer_id: int, raw: Any, entity: Any) -> Dialog:
    names, upgraded = tuple(usernames_in(entity)), getattr(entity, "migrated_to", None) is not None
    forum = bool(getattr(entity, "forum", False))
    kind, channel = _kind(entity), bool(getattr(entity, "broadcast", False))
    return Dialog(peer_id, raw.top_message, utils.get_display_name(entity), kind, names, upgraded, forum, channel)


def _kind(entity: Any) -> Any:
    """The dialog's kind. A chat that the account has left or was removed from may stay in the list, as "other"."""
    if isinstance(entity, types.User):
        return "other" if described(entity).kind in ("bot", "service") else "private"
    if isinstance(entity, types.Channel) and not entity.left:
        return "supergroup"
    return "group" if isinstance(entity, types.Chat) and not entity.left else "other"
