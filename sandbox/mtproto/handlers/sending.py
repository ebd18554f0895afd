"""The methods of messages.* that change messages: sending, editing, reacting, reading, typing, deleting."""

from typing import Any

from telethon.tl import functions, types

from sandbox.mtproto import peers
from sandbox.mtproto.rpc import RpcCall, handles
from sandbox.mtproto.rpc_errors import RpcFailure
from sandbox.mtproto.updates.views import View
from sandbox.world.actions import authors, message_changes, reading, sending
from sandbox.world.entities import LedgerEntry
from sandbox.world.marks import PLAIN, Marks


@handles(functions.messages.SendMessageRequest)
def send_message(call: RpcCall, request: Any) -> Any:
    """A repeated random_id is answered with the original's id, as if it had just been sent."""
    if not request.random_id:
        raise RpcFailure("RANDOM_ID_EMPTY")
    peer = peers.peer_id(call, request.peer)
    entry = sending.send(
        call.world,
        user_id=call.user_id,
        peer=peer,
        text=request.message,
        reply_to=_reply_to(request.reply_to),
        random_id=request.random_id,
        by="account",
        marks=_marks(call, peer, request.send_as),
    )
    return _sent(call, entry)


def _marks(call: RpcCall, peer: int, send_as: Any) -> Marks:
    wanted = peers.peer_id(call, send_as) if send_as is not None else call.user_id
    if wanted == call.user_id:
        return PLAIN if send_as is None else Marks(send_as=call.user_id)
    authors.check_send_as(call.world, call.user_id, call.world.registry.chat(peer), wanted)
    return Marks(send_as=wanted)


def _reply_to(reply: Any) -> int | None:
    if reply is None:
        return None
    if not isinstance(reply, types.InputReplyToMessage):
        raise RpcFailure("REPLY_TO_INVALID")
    return int(reply.reply_to_msg_id) or None


def _sent(call: RpcCall, entry: LedgerEntry) -> Any:
    """The answer to a sent message: short in private chats and basic groups, a full update in a supergroup."""
    box_id = entry.peer if entry.channel_message_id is not None else call.user_id
    message_id = entry.id_for(call.user_id)
    event = call.world.boxes[box_id].event_of(message_id or 0)
    if event is None:
        raise RpcFailure("RANDOM_ID_DUPLICATE")
    if box_id == call.user_id:
        return types.UpdateShortSentMessage(
            id=message_id, pts=event.pts, pts_count=event.pts_count, date=int(entry.at), out=True
        )
    view = View(call.world, call.user_id)
    named = types.UpdateMessageID(message_id, entry.random_id)
    return view.updates([named, view.event(box_id, event)])


@handles(functions.messages.EditMessageRequest)
def edit_message(call: RpcCall, request: Any) -> Any:
    """Change the text of the caller's own message."""
    peer = peers.peer_id(call, request.peer)
    entry = message_changes.entry_of(call.world, call.user_id, peer, request.id)
    message_changes.edit(call.world, user_id=call.user_id, seq=entry.seq, text=request.message or "")
    box_id = entry.peer if entry.channel_message_id is not None else call.user_id
    view = View(call.world, call.user_id)
    return view.updates([view.event(box_id, call.world.boxes[box_id].events[-1])])


@handles(functions.messages.SendReactionRequest)
def send_reaction(call: RpcCall, request: Any) -> Any:
    """Set the last of the given emoji as the reaction; without emoji, remove it."""
    peer = peers.peer_id(call, request.peer)
    entry = message_changes.entry_of(call.world, call.user_id, peer, request.msg_id)
    given = [reaction.emoticon for reaction in request.reaction or [] if isinstance(reaction, types.ReactionEmoji)]
    message_changes.react(call.world, user_id=call.user_id, seq=entry.seq, emoji=given[-1] if given else None)
    view = View(call.world, call.user_id)
    return view.updates([view.reacted(call.world.box_of(call.user_id, peer).messages[request.msg_id])])


@handles(functions.messages.ReadHistoryRequest)
def read_history(call: RpcCall, request: Any) -> Any:
    peer = peers.peer_id(call, request.peer)
    chat = call.world.chats.get(peer)
    if chat and (chat.is_channel or call.user_id not in chat.members):
        raise RpcFailure("PEER_ID_INVALID")
    reading.read(call.world, user_id=call.user_id, peer=peer, max_id=request.max_id)
    return types.messages.AffectedMessages(pts=call.world.boxes[call.user_id].pts, pts_count=0)


@handles(functions.channels.ReadHistoryRequest)
def read_channel_history(call: RpcCall, request: Any) -> bool:
    chat = peers.readable_channel(call, request.channel)
    reading.read(call.world, user_id=call.user_id, peer=chat.id, max_id=request.max_id)
    return True


@handles(functions.messages.SetTypingRequest)
def set_typing(call: RpcCall, request: Any) -> bool:
    peer = peers.peer_id(call, request.peer)
    if peer < 0:
        sending.check_may_write(call.world, call.user_id, call.world.chats[peer])
    elif call.user_id in call.world.users[peer].blocked:
        raise RpcFailure("USER_IS_BLOCKED")
    if isinstance(request.action, types.SendMessageTypingAction):
        reading.show_typing(call.world, user_id=call.user_id, peer=peer)
    return True


@handles(functions.messages.DeleteMessagesRequest)
def delete_messages(call: RpcCall, request: Any) -> Any:
    """Delete messages for the caller, or with `revoke` for everyone. The ledger keeps their entries."""
    if request.revoke:
        return _deleted_for_all(call, request.id)
    pts, count = message_changes.delete(call.world, user_id=call.user_id, peer=None, message_ids=request.id)
    return types.messages.AffectedMessages(pts=pts, pts_count=count)


def _deleted_for_all(call: RpcCall, message_ids: list[int]) -> Any:
    box = call.world.boxes[call.user_id]
    known = [message for message_id in message_ids if (message := box.messages.get(message_id)) is not None]
    for message in known:
        if message.seq is not None:
            message_changes.delete_for_all(call.world, seq=message.seq)
    return types.messages.AffectedMessages(pts=box.pts, pts_count=len(known))


@handles(functions.channels.DeleteMessagesRequest)
def delete_channel_messages(call: RpcCall, request: Any) -> Any:
    """Delete messages of the caller in a supergroup."""
    chat = peers.readable_channel(call, request.channel)
    messages = call.world.boxes[chat.id].messages
    if any(i in messages and messages[i].from_user != call.user_id for i in request.id):
        raise RpcFailure("MESSAGE_DELETE_FORBIDDEN")
    pts, count = message_changes.delete(call.world, user_id=call.user_id, peer=chat.id, message_ids=request.id)
    return types.messages.AffectedMessages(pts=pts, pts_count=count)
