"""updates.*: the state of an account's boxes, and the events that a client missed (core.telegram.org/api/updates)."""

from itertools import islice
from typing import Any

from telethon.tl import functions, types

from sandbox.mtproto import peers
from sandbox.mtproto.rpc import RpcCall, handles
from sandbox.mtproto.rpc_errors import RpcFailure
from sandbox.mtproto.updates.views import View
from sandbox.world.boxes import Box, Event

# More events than this come in several slices.
SLICE = 100
MAX_CHANNEL_LIMIT = 100


@handles(functions.updates.GetStateRequest)
def get_state(call: RpcCall, _request: Any) -> Any:
    return state(call)


def state(call: RpcCall, pts: int | None = None) -> Any:
    """The account's state. `seq` and `qts` stay 0, because the sandbox does not use them."""
    box = call.world.boxes[call.user_id]
    return types.updates.State(pts=pts or box.pts, qts=0, date=int(call.world.clock()), seq=0, unread_count=0)


@handles(functions.updates.GetDifferenceRequest)
def get_difference(call: RpcCall, request: Any) -> Any:
    """The missed events of private chats and basic groups, and hints to request the differences of supergroups."""
    box = call.world.boxes[call.user_id]
    too_long = call.server.faults.take(method=call.method, user=call.user_id, chat=None, stage="difference")
    if request.pts > box.pts or too_long:
        return types.updates.DifferenceTooLong(box.pts)
    events = list(islice(box.since(request.pts), SLICE + 1))
    view = View(call.world, call.user_id)
    messages, others = _split(view, call.user_id, box, events[:SLICE])
    if len(events) > SLICE:
        reached = state(call, events[SLICE - 1].pts)
        return types.updates.DifferenceSlice(messages, [], others, view.chats, view.users, reached)
    others += _channel_hints(call, view)
    if not messages and not others:
        return types.updates.DifferenceEmpty(int(call.world.clock()), seq=0)
    return types.updates.Difference(messages, [], others, view.chats, view.users, state(call))


@handles(functions.updates.GetChannelDifferenceRequest)
def get_channel_difference(call: RpcCall, request: Any) -> Any:
    chat = peers.readable_channel(call, request.channel)
    if request.pts <= 0:
        raise RpcFailure("PERSISTENT_TIMESTAMP_EMPTY")
    box = call.world.boxes[chat.id]
    limit = max(1, min(request.limit, MAX_CHANNEL_LIMIT))
    events = list(islice(box.since(request.pts), limit))
    if not events:
        return types.updates.ChannelDifferenceEmpty(box.pts, final=True)
    view = View(call.world, call.user_id)
    view.mention(chat.id)
    messages, others = _split(view, chat.id, box, events)
    reached = events[-1].pts
    return types.updates.ChannelDifference(reached, messages, others, view.chats, view.users, final=reached == box.pts)


def _split(view: View, box_id: int, box: Box, events: list[Event]) -> tuple[list[Any], list[Any]]:
    """New messages that still exist, and all other updates."""
    messages, others = [], []
    for event in events:
        if event.kind == "delete":
            others.append(view.event(box_id, event))
        elif message := box.messages.get(event.message_ids[0]):
            if event.kind == "message":
                messages.append(view.message(message))
            else:
                others.append(view.event(box_id, event))
    return messages, others


def _channel_hints(call: RpcCall, view: View) -> list[Any]:
    """A hint for each supergroup with events, because the server does not know which events a client has."""
    hints = []
    for chat in call.world.chats.values():
        if chat.is_channel and call.user_id in chat.members and call.world.boxes[chat.id].events:
            view.mention(chat.id)
            hints.append(types.UpdateChannelTooLong(chat.bare_id, call.world.boxes[chat.id].pts))
    return hints
