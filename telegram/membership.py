"""Requests one chat from Telegram to find out whether the account is in it: the list of chats does not prove it."""

from typing import Any

from telethon import TelegramClient
from telethon.tl import functions, types

from telegram.calls import call
from telegram.convert import resolved_chat
from telegram.errors import ChatRefuses, PeerRefuses, PermanentError
from telegram.peers import known_peer, parse_reference
from telegram.types import ResolvedChat

# The reason if Telegram's answer does not show whether the account is in the chat.
UNKNOWN = "MEMBERSHIP_UNKNOWN"


async def membership(client: TelegramClient, reference: str, telegram_id: int) -> ResolvedChat | None:
    """The chat with this marked id if the account is in it, None if it is not.

    Raises ChatRefuses(UNKNOWN) if Telegram's answer does not show which is true.
    """
    try:
        chat = await _requested(client, reference, telegram_id)
    except ChatRefuses as error:
        if error.says == "removed":
            return None
        raise ChatRefuses(UNKNOWN) from error
    except (PeerRefuses, PermanentError) as error:
        raise ChatRefuses(UNKNOWN) from error
    if isinstance(chat, types.ChatForbidden | types.ChannelForbidden | types.ChatInvite | types.ChatInvitePeek):
        return None
    found = resolved_chat(chat)
    if found is None or found.telegram_id != telegram_id:
        raise ChatRefuses(UNKNOWN)
    return None if chat.left else found


async def _requested(client: TelegramClient, reference: str, telegram_id: int) -> Any:
    peer = known_peer(client, telegram_id)
    if isinstance(peer, types.InputPeerChannel):
        channel = types.InputChannel(peer.channel_id, peer.access_hash)
        answer = await call(client, functions.channels.GetChannelsRequest([channel]))
    elif isinstance(peer, types.InputPeerChat):
        answer = await call(client, functions.messages.GetChatsRequest([peer.chat_id]))
    else:
        return await _requested_by_reference(client, reference)
    return next(iter(answer.chats), None)


async def _requested_by_reference(client: TelegramClient, reference: str) -> Any:
    """Request a chat whose access hash the account lacks: it has never seen the chat, or its session is new."""
    name, invite = parse_reference(reference)
    if not name or name.lstrip("-").isdigit():
        return None
    if invite:
        answer = await call(client, functions.messages.CheckChatInviteRequest(name))
        return answer.chat if isinstance(answer, types.ChatInviteAlready) else answer
    answer = await call(client, functions.contacts.ResolveUsernameRequest(name))
    return next(iter(answer.chats), None)
