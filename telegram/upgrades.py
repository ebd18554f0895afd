"""Basic groups that were upgraded to supergroups, which have the same members and a new id.

The old chat can still be read, but accepts no messages (https://core.telegram.org/api/channel#migration).
"""

from typing import Any

from telethon import TelegramClient, utils
from telethon.tl import functions, types

from telegram.calls import call
from telegram.errors import ChatRefuses, ChatUpgraded, PeerRefuses, PermanentError, TelegramError
from telegram.types import ResolvedChat, is_group

# Telegram's errors for messages to a group that no longer exists.
_NO_SUCH_CHAT = ("PEER_ID_INVALID", "CHAT_ID_INVALID")


async def supergroup_of(client: TelegramClient, group_id: int) -> ResolvedChat | None:
    """The supergroup that the basic group with this marked id was upgraded to; afterwards the account can address it.

    None if the group was not upgraded, or if Telegram does not show that to this account.
    """
    real_id, _ = utils.resolve_id(group_id)
    try:
        answer = await call(client, functions.messages.GetChatsRequest([real_id]))
    except (ChatRefuses, PeerRefuses, PermanentError):
        return None
    return await follow(client, next(iter(answer.chats), None))


async def follow(client: TelegramClient, group: Any) -> ResolvedChat | None:
    """The supergroup that this group was upgraded to; None if it was not upgraded."""
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


async def upgrade_or(client: TelegramClient, peer: Any, error: TelegramError) -> TelegramError:
    """ChatUpgraded if a request about `peer` failed because the group was upgraded, otherwise `error` itself."""
    refused = isinstance(error, ChatRefuses | PeerRefuses | PermanentError) or error.reason in _NO_SUCH_CHAT
    if not refused or not isinstance(peer, types.InputPeerChat):
        return error
    found = await supergroup_of(client, -peer.chat_id)
    return error if found is None else ChatUpgraded(found.telegram_id, found.upgraded_from or 0)


def upgraded_by(message: Any) -> int | None:
    """The marked id of the basic group whose upgrade this service message reports; None for other messages."""
    if not isinstance(getattr(message, "action", None), types.MessageActionChatMigrateTo):
        return None
    marked = utils.get_peer_id(message.peer_id)
    return marked if is_group(marked) else None
