"""Resolves the peers that a client names; a hash that was not given to this client is refused."""

from typing import Any

from telethon.tl import types

from sandbox.mtproto.rpc import RpcCall
from sandbox.mtproto.rpc_errors import RpcFailure
from sandbox.world.entities import CHANNEL_MARK, Chat, User


def peer_id(call: RpcCall, peer: Any) -> int:
    """The user id or marked chat id behind an InputPeer; raises what Telegram raises when it is not valid."""
    if isinstance(peer, types.InputPeerSelf):
        return call.user_id
    if isinstance(peer, types.InputPeerUser):
        return _user(call, peer.user_id, peer.access_hash, "PEER_ID_INVALID").id
    if isinstance(peer, types.InputPeerUserFromMessage):
        return _user_from_message(call, peer, "PEER_ID_INVALID").id
    if isinstance(peer, types.InputPeerChat):
        return group(call, peer.chat_id).id
    if isinstance(peer, types.InputPeerChannel):
        return channel(call, peer).id
    raise RpcFailure("PEER_ID_INVALID")


def user(call: RpcCall, wanted: Any) -> User:
    """The user behind an InputUser."""
    if isinstance(wanted, types.InputUserSelf):
        return call.user
    if isinstance(wanted, types.InputUser):
        return _user(call, wanted.user_id, wanted.access_hash, "USER_ID_INVALID")
    if isinstance(wanted, types.InputUserFromMessage):
        return _user_from_message(call, wanted, "USER_ID_INVALID")
    raise RpcFailure("USER_ID_INVALID")


def channel(call: RpcCall, wanted: Any) -> Chat:
    """The supergroup behind an InputChannel or InputPeerChannel, whether the caller is in it or not."""
    if not isinstance(wanted, types.InputChannel | types.InputPeerChannel):
        raise RpcFailure("CHANNEL_INVALID")
    chat = call.world.chats.get(-CHANNEL_MARK - wanted.channel_id)
    if chat is None or wanted.access_hash != call.world.hashes.of(call.user_id, chat.id, "channel"):
        raise RpcFailure("CHANNEL_INVALID")
    return chat


def readable_channel(call: RpcCall, wanted: Any) -> Chat:
    """A supergroup that the caller may look into: a public one, or one they are in."""
    return readable(call, channel(call, wanted))


def readable(call: RpcCall, chat: Chat) -> Chat:
    """The chat, if the caller may look into it. A channel's subscribers may look into its discussion group."""
    linked = call.world.chats[chat.linked] if chat.linked is not None else chat
    if call.user_id in chat.members or chat.is_public or call.user_id in linked.members:
        return chat
    raise RpcFailure("CHANNEL_PRIVATE" if chat.is_channel else "PEER_ID_INVALID")


def group(call: RpcCall, bare_id: int) -> Chat:
    """A basic group, by its unmarked id."""
    chat = call.world.chats.get(-bare_id)
    if chat is None or chat.is_channel:
        raise RpcFailure("CHAT_ID_INVALID")
    return chat


def mentioned(call: RpcCall, request: Any) -> int | None:
    """The user id or marked chat id that a request contains, unchecked; faults can be planned for a chat."""
    wanted = next((found for name in ("peer", "channel") if (found := getattr(request, name, None))), None)
    if isinstance(wanted, types.InputPeerSelf):
        return call.connection.user_id
    if (channel_id := getattr(wanted, "channel_id", None)) is not None:
        return -CHANNEL_MARK - int(channel_id)
    if (user_id := getattr(wanted, "user_id", None)) is not None:
        return int(user_id)
    chat_id = getattr(wanted, "chat_id", None) or getattr(request, "chat_id", None)
    return -int(chat_id) if chat_id else None


def _user(call: RpcCall, user_id: int, access_hash: int, error: str) -> User:
    found = call.world.users.get(user_id)
    if found is None or access_hash != call.world.hashes.of(call.user_id, user_id, "user"):
        raise RpcFailure(error)
    return found


def _user_from_message(call: RpcCall, wanted: Any, error: str) -> User:
    """A user that the caller knows only as the author of a visible message."""
    chat = peer_id(call, wanted.peer)
    if chat < 0:
        readable(call, call.world.chats[chat])
    message = call.world.box_of(call.user_id, chat).messages.get(wanted.msg_id)
    if message is None or message.peer != chat or message.shown_author != wanted.user_id:
        raise RpcFailure(error)
    return call.world.users[wanted.user_id]
