"""Asks Telegram about a chat whether the account is in it: no list of chats proves it."""

from typing import Any

from telethon import TelegramClient
from telethon.tl import functions, types

from telegram.calls import call
from telegram.convert import resolved_chat
from telegram.errors import ChatRefuses, PeerRefuses, PermanentError
from telegram.peers import known_peer, parse_reference
from telegram.types import ResolvedChat

# Telegram did not say it.
UNKNOWN = "MEMBERSHIP_UNKNOWN"


async def membership(client: TelegramClient, reference: str, telegram_id: int) -> ResolvedChat | None:
    """The chat with this marked id, if the account is in it; None: Telegram says that it is not.

    Raises ChatRefuses(UNKNOWN) when Telegram says neither.
    """
    try:
        chat = await _asked(client, reference, telegram_id)
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


async def _asked(client: TelegramClient, reference: str, telegram_id: int) -> Any:
    peer = known_peer(client, telegram_id)
    if isinstance(peer, types.InputPeerChannel):
        channel = types.InputChannel(peer.channel_id, peer.access_hash)
        answer = await call(client, functions.channels.GetChannelsRequest([channel]))
    elif isinstance(peer, types.InputPeerChat):
        answer = await call(client, functions.messages.GetChatsRequest([peer.chat_id]))
    else:
        return await _asked_by_reference(client, reference)
    return next(iter(answer.chats), None)


async def _asked_by_reference(client: TelegramClient, reference: str) -> Any:
    """The account has no access hash of the chat: it has never seen it, or its session is a new one."""
    name, invite = parse_reference(reference)
    if not name or name.lstrip("-").isdigit():
        return None
    if invite:
        answer = await call(client, functions.messages.CheckChatInviteRequest(name))
        return answer.chat if isinstance(answer, types.ChatInviteAlready) else answer
    answer = await call(client, functions.contacts.ResolveUsernameRequest(name))
    return next(iter(answer.chats), None)
