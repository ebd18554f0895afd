"""Basic groups that were upgraded to supergroups: the same people under a new id. The old chat can be read, and takes
no messages any more (https://core.telegram.org/api/channel#migration).
"""

from typing import Any

from telethon import TelegramClient, utils
from telethon.tl import functions, types

from telegram.calls import call
from telegram.errors import ChatRefuses, ChatUpgraded, PeerRefuses, PermanentError, TelegramError
from telegram.types import ResolvedChat, is_group

# As Telegram answers who writes to a group that is no more.
_NO_SUCH_CHAT = ("PEER_ID_INVALID", "CHAT_ID_INVALID")


async def supergroup_of(client: TelegramClient, group_id: int) -> ResolvedChat | None:
    """What the basic group with this marked id has become. None: it was not upgraded, or Telegram does not say so to
    this account. Afterwards the account can address the supergroup."""
    real_id, _ = utils.resolve_id(group_id)
    try:
        answer = await call(client, functions.messages.GetChatsRequest([real_id]))
    except (ChatRefuses, PeerRefuses, PermanentError):
        return None
    return await follow(client, next(iter(answer.chats), None))


async def follow(client: TelegramClient, group: Any) -> ResolvedChat | None:
    """The supergroup that this group has become; None for anything else."""
    to = getattr(group, "migrated_to", None)
    if not isinstance(to, types.InputChannel):
        return None
    marked, former = utils.get_peer_id(types.PeerChannel(to.channel_id)), utils.get_peer_id(group)
    try:
        answer = await call(client, functions.channels.GetChannelsRequest([to]))
    except (ChatRefuses, PeerRefuses, PermanentError):
        return ResolvedChat(marked, "supergroup", group.title, upgraded_from=former, left=True)
    found = next(iter(answer.chats), None)
    left = not isinstance(found, types.Channel) or bool(found.left)
    return ResolvedChat(marked, "supergroup", group.title, upgraded_from=former, left=left)


async def explained(client: TelegramClient, peer: Any, error: TelegramError) -> TelegramError:
    """The refusal of a request about `peer`, or ChatUpgraded when that is why."""
    refused = isinstance(error, ChatRefuses | PeerRefuses | PermanentError) or error.reason in _NO_SUCH_CHAT
    if not refused or not isinstance(peer, types.InputPeerChat):
        return error
    found = await supergroup_of(client, -peer.chat_id)
    return error if found is None else ChatUpgraded(found.telegram_id, found.upgraded_from or 0)


def upgraded_by(message: Any) -> int | None:
    """The marked id of the basic group that this service message closes."""
    if not isinstance(getattr(message, "action", None), types.MessageActionChatMigrateTo):
        return None
    marked = utils.get_peer_id(message.peer_id)
    return marked if is_group(marked) else None
