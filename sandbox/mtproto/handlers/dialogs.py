"""messages.getDialogs and its kin: the list of chats."""

from typing import Any

from telethon.tl import functions, types

from sandbox.mtproto import peers
from sandbox.mtproto.handlers.updates import state
from sandbox.mtproto.rpc import Call, handles
from sandbox.mtproto.views import View


@handles(functions.messages.GetDialogsRequest)
def get_dialogs(call: Call, _request: Any) -> Any:
    """All of them at once, the most recent first."""
    view = View(call.world, call.user_id)
    found = sorted(_peers(call), key=lambda peer: _last_at(call, peer), reverse=True)
    dialogs, messages = _dialogs(call, view, found)
    return types.messages.Dialogs(dialogs, messages, view.chats, view.users)


@handles(functions.messages.GetPeerDialogsRequest)
def get_peer_dialogs(call: Call, request: Any) -> Any:
    view = View(call.world, call.user_id)
    wanted = [peers.peer_id(call, d.peer) for d in request.peers if isinstance(d, types.InputDialogPeer)]
    for peer in wanted:
        if peer < 0:
            peers.readable(call, call.world.chats[peer])
    dialogs, messages = _dialogs(call, view, wanted)
    return types.messages.PeerDialogs(dialogs, messages, view.chats, view.users, state(call))


@handles(functions.messages.GetPinnedDialogsRequest)
def get_pinned_dialogs(call: Call, _request: Any) -> Any:
    return types.messages.PeerDialogs([], [], [], [], state(call))


def _peers(call: Call) -> list[int]:
    private = [peer for peer in call.world.boxes[call.user_id].by_peer if peer > 0]
    return private + [chat.id for chat in call.world.chats.values() if call.user_id in chat.members]


def _last_at(call: Call, peer: int) -> float:
    box = call.world.box_of(call.user_id, peer)
    ids = box.history(peer)
    return box.messages[ids[-1]].at if ids else 0.0


def _dialogs(call: Call, view: View, found: list[int]) -> tuple[list[Any], list[Any]]:
    messages, dialogs = [], []
    for peer in found:
        box = call.world.box_of(call.user_id, peer)
        ids = box.history(peer)
        if ids:
            messages.append(view.message(box.messages[ids[-1]]))
        dialogs.append(_dialog(call, view, peer, ids))
    return dialogs, messages


def _dialog(call: Call, view: View, peer: int, ids: list[int]) -> Any:
    box = call.world.box_of(call.user_id, peer)
    chat = call.world.chats.get(peer)
    is_channel = chat is not None and chat.is_channel
    read = call.world.read_position(call.user_id, peer)
    unread = [i for i in ids if i > read and box.messages[i].from_user != call.user_id]
    return types.Dialog(
        peer=view.peer(peer),
        top_message=ids[-1] if ids else 0,
        read_inbox_max_id=read,
        read_outbox_max_id=0 if is_channel else box.read_outbox.get(peer, 0),
        unread_count=len(unread),
        unread_mentions_count=0,
        unread_reactions_count=0,
        unread_poll_votes_count=0,
        notify_settings=types.PeerNotifySettings(),
        pts=box.pts if is_channel else None,
    )
