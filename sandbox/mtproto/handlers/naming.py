"""The senders that an account may choose in a supergroup: itself, a channel, or the group for an anonymous admin."""

from typing import Any

from telethon.tl import functions, types

from sandbox.mtproto import peers
from sandbox.mtproto.rpc import RpcCall, handles
from sandbox.mtproto.updates.views import View
from sandbox.world.actions import authors
from sandbox.world.entities import Chat
from sandbox.world.errors import WorldError


@handles(functions.channels.GetSendAsRequest)
def get_send_as(call: RpcCall, request: Any) -> Any:
    chat = peers.readable_channel(call, request.peer)
    view = View(call.world, call.user_id)
    possible = [call.user_id, *(peer for peer in call.world.chats if _may(call, chat, peer))]
    listed = [types.SendAsPeer(view.peer(peer)) for peer in possible]
    return types.channels.SendAsPeers(listed, view.chats, view.users)


def _may(call: RpcCall, chat: Chat, peer: int) -> bool:
    try:
        authors.check_send_as(call.world, call.user_id, chat, peer)
    except WorldError:
        return False
    return True


@handles(functions.messages.SaveDefaultSendAsRequest)
def save_default_send_as(call: RpcCall, request: Any) -> bool:
    chat = peers.readable_channel(call, request.peer)
    authors.write_as(call.world, user_id=call.user_id, chat_id=chat.id, peer=peers.peer_id(call, request.send_as))
    return True
