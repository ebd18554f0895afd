"""The methods of messages.* that read messages: history, search, single messages."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from telethon.tl import functions, types

from sandbox.mtproto import peers
from sandbox.mtproto.rpc import RpcCall, handles
from sandbox.mtproto.updates.views import View
from sandbox.world.boxes import Box, Message

MAX_PAGE = 100


@handles(functions.messages.GetHistoryRequest)
def get_history(call: RpcCall, request: Any) -> Any:
    peer, box = _readable_box(call, request.peer)
    messages = [box.messages[i] for i in reversed(box.history(peer))]
    return _page(call, peer, box, messages, request, until=request.offset_date)


@handles(functions.messages.SearchRequest)
def search(call: RpcCall, request: Any) -> Any:
    """Search by words, author and dates. All messages are texts, so a filter for other kinds finds nothing."""
    peer, box = _readable_box(call, request.peer)
    author = peers.peer_id(call, request.from_id) if request.from_id else None
    found = [message for i in reversed(box.history(peer)) if _matches(message := box.messages[i], request, author)]
    return _page(call, peer, box, found, request, until=None)


@handles(functions.messages.GetMessagesRequest)
def get_messages(call: RpcCall, request: Any) -> Any:
    view = View(call.world, call.user_id)
    box = call.world.boxes[call.user_id]
    found = [_single(view, box, wanted) for wanted in request.id]
    return types.messages.Messages(found, [], view.chats, view.users)


@handles(functions.channels.GetMessagesRequest)
def get_channel_messages(call: RpcCall, request: Any) -> Any:
    chat = peers.readable_channel(call, request.channel)
    view = View(call.world, call.user_id)
    box = call.world.boxes[chat.id]
    found = [_single(view, box, wanted) for wanted in request.id]
    view.mention(chat.id)
    return types.messages.ChannelMessages(box.pts, len(found), found, [], view.chats, view.users)


@handles(functions.messages.GetRepliesRequest)
def get_replies(call: RpcCall, request: Any) -> Any:
    """The messages of a forum's topic, or the replies to a message."""
    peer, box = _readable_box(call, request.peer)
    newest_first = [box.messages[i] for i in reversed(box.history(peer))]
    found = [message for message in newest_first if request.msg_id in (message.topic, message.reply_to)]
    return _page(call, peer, box, found, request, until=request.offset_date)


def _single(view: View, box: Box, wanted: Any) -> Any:
    message = box.messages.get(getattr(wanted, "id", 0))
    if message and isinstance(wanted, types.InputMessageReplyTo):
        message = box.messages.get(message.reply_to or 0)
    return view.message(message) if message else types.MessageEmpty(getattr(wanted, "id", 0), peer_id=None)


def _readable_box(call: RpcCall, input_peer: Any) -> tuple[int, Box]:
    peer = peers.peer_id(call, input_peer)
    if peer < 0:
        peers.readable(call, call.world.chats[peer])
    return peer, call.world.box_of(call.user_id, peer)


def _matches(message: Message, request: Any, author: int | None) -> bool:
    at = int(message.at)
    return (
        isinstance(request.filter, types.InputMessagesFilterEmpty)
        and message.action is None
        and request.q.casefold() in message.text.casefold()
        and author in (None, message.shown_author)
        and (not _seconds(request.min_date) or at > _seconds(request.min_date))
        and (not _seconds(request.max_date) or at < _seconds(request.max_date))
    )


def _page(call: RpcCall, peer: int, box: Box, newest_first: list[Message], request: Any, until: datetime | None) -> Any:
    """The page of messages, as https://core.telegram.org/api/offsets defines it."""
    start = _start(newest_first, request.offset_id, _seconds(until)) + request.add_offset
    stop = start + min(max(request.limit, 0), MAX_PAGE)
    window = newest_first[max(start, 0) : max(stop, 0)]
    if request.max_id:
        window = [m for m in window if m.id < request.max_id]
    window = [m for m in window if m.id > request.min_id]
    view = View(call.world, call.user_id)
    view.mention(peer)
    messages = [view.message(m) for m in window]
    count = len(newest_first)
    if peer < 0 and call.world.chats[peer].is_channel:
        return types.messages.ChannelMessages(box.pts, count, messages, [], view.chats, view.users)
    if len(messages) == count:
        return types.messages.Messages(messages, [], view.chats, view.users)
    return types.messages.MessagesSlice(count, messages, [], view.chats, view.users)


def _start(newest_first: Iterable[Message], offset_id: int, until: int) -> int:
    """The number of messages that are newer than the offset."""
    newest_first = list(newest_first)
    if offset_id:
        return sum(1 for m in newest_first if m.id >= offset_id)
    return sum(1 for m in newest_first if int(m.at) >= until) if until else 0


def _seconds(moment: datetime | None) -> int:
    return int(moment.timestamp()) if moment else 0
