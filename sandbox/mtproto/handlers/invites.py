"""Invite links: checking a link, and joining by it."""

from typing import Any

from telethon.tl import functions, types

from sandbox.mtproto.handlers.chats import join
from sandbox.mtproto.rpc import RpcCall, handles
from sandbox.mtproto.rpc_errors import RpcFailure
from sandbox.mtproto.updates.views import View
from sandbox.world.entities import Chat

# How long a user may read a chat without joining it.
PEEK_SECONDS = 300


@handles(functions.messages.CheckChatInviteRequest)
def check_chat_invite(call: RpcCall, request: Any) -> Any:
    chat = _chat(call, request.hash)
    if call.user_id in chat.members:
        return types.ChatInviteAlready(View(call.world, call.user_id).chat(chat))
    if chat.peek:
        return types.ChatInvitePeek(View(call.world, call.user_id).chat(chat), int(call.world.clock()) + PEEK_SECONDS)
    return types.ChatInvite(
        title=chat.title,
        photo=types.PhotoEmpty(0),
        participants_count=len(chat.members),
        color=0,
        channel=chat.is_channel,
        megagroup=chat.is_channel,
        public=chat.is_public,
        request_needed=chat.approval,
    )


@handles(functions.messages.ImportChatInviteRequest)
def import_chat_invite(call: RpcCall, request: Any) -> Any:
    chat = _chat(call, request.hash)
    if call.user_id in chat.members:
        raise RpcFailure("USER_ALREADY_PARTICIPANT")
    return join(call, chat, "joined_by_link")


def _chat(call: RpcCall, invite_hash: str) -> Chat:
    if not invite_hash:
        raise RpcFailure("INVITE_HASH_EMPTY")
    chat = call.world.find_invite(invite_hash)
    if chat is None:
        raise RpcFailure("INVITE_HASH_EXPIRED")
    return chat
