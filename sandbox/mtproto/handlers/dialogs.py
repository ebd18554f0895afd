"""messages.getDialogs and similar methods: the list of chats."""

from typing import Any

from telethon.tl import functions, types

from sandbox.mtproto import peers
from sandbox.mtproto.handlers.updates import state
from sandbox.mtproto.rpc import RpcCall, handles
from sandbox.mtproto.updates.views import View
from sandbox.world.actions import reading, sending

# The most dialogs in one answer of Telegram.
MAX_PAGE = 100
# A dialog's place in the list: the time and the number of its newest message, and its peer.
Place = tuple[float, int, int]


@handles(functions.messages.GetDialogsRequest)
def get_dialogs(call: RpcCall, request: Any) -> Any:
    """The dialogs with the newest messages first, in pages.

    A page continues after the offset, even if dialogs have moved since the page before.
    """
    places = {peer: _place(call, peer) for peer in _peers(call)}
    everything = sorted(places, key=lambda peer: places[peer], reverse=True)
    rest = _after(everything, places, call, request)
    page = rest[: min(request.limit or MAX_PAGE, MAX_PAGE)]
    view = View(call.world, call.user_id)
    dialogs, messages = _dialogs(call, view, page)
    if len(page) == len(everything):
        return types.messages.Dialogs(dialogs, messages, view.chats, view.users)
    answer = types.messages.DialogsSlice(len(everything), dialogs, messages, view.chats, view.users)
    for peer in rest[len(page) :]:
        _move_up(call, peer)
    return answer


def _place(call: RpcCall, peer: int) -> Place:
    """The dialog's place. A chat without messages comes last."""
    box = call.world.box_of(call.user_id, peer)
    ids = box.history(peer)
    return (box.messages[ids[-1]].at, ids[-1], peer) if ids else (0.0, 0, peer)


def _after(everything: list[int], places: dict[int, Place], call: RpcCall, request: Any) -> list[int]:
    """https://core.telegram.org/api/offsets: the dialogs that are older than the offset's message."""
    seconds = int(request.offset_date.timestamp()) if request.offset_date else 0
    if not seconds and not request.offset_id:
        return everything
    last = None if isinstance(request.offset_peer, types.InputPeerEmpty) else peers.peer_id(call, request.offset_peer)
    if last in places and places[last][1] == request.offset_id:
        return [peer for peer in everything if places[peer] < places[last]]
    # The dialog has a newer message now. Clients know times in whole seconds.
    return [peer for peer in everything if (int(places[peer][0]), places[peer][1]) < (seconds, request.offset_id)]


def _move_up(call: RpcCall, peer: int) -> None:
    """Carry out a planned DIALOG_MOVES fault.

    Between two pages, a message arrives in a dialog of the later page. The dialog is then on neither page.
    """
    fault = call.server.faults.take(method=call.method, user=call.user_id, chat=peer, stage="page")
    if fault is not None:
        chat = call.world.chats.get(peer)
        writer = peer if chat is None else next(user for user in chat.members if user != call.user_id)
        sending.send(
            call.world, user_id=writer, peer=call.user_id if chat is None else peer, text="This came in between."
        )


@handles(functions.messages.GetPeerDialogsRequest)
def get_peer_dialogs(call: RpcCall, request: Any) -> Any:
    view = View(call.world, call.user_id)
    wanted = [peers.peer_id(call, d.peer) for d in request.peers if isinstance(d, types.InputDialogPeer)]
    for peer in wanted:
        if peer < 0:
            peers.readable(call, call.world.chats[peer])
    dialogs, messages = _dialogs(call, view, wanted)
    return types.messages.PeerDialogs(dialogs, messages, view.chats, view.users, state(call))


@handles(functions.messages.GetPinnedDialogsRequest)
def get_pinned_dialogs(call: RpcCall, _request: Any) -> Any:
    return types.messages.PeerDialogs([], [], [], [], state(call))


def _peers(call: RpcCall) -> list[int]:
    private = [peer for peer in call.world.boxes[call.user_id].by_peer if peer > 0]
    return private + [chat.id for chat in call.world.chats.values() if call.user_id in chat.members]


def _dialogs(call: RpcCall, view: View, found: list[int]) -> tuple[list[Any], list[Any]]:
    messages, dialogs = [], []
    for peer in found:
        box = call.world.box_of(call.user_id, peer)
        ids = box.history(peer)
        if ids:
            messages.append(view.message(box.messages[ids[-1]]))
        dialogs.append(_dialog(call, view, peer, ids))
    return dialogs, messages


def _dialog(call: RpcCall, view: View, peer: int, ids: list[int]) -> Any:
    box = call.world.box_of(call.user_id, peer)
    chat = call.world.chats.get(peer)
    is_channel = chat is not None and chat.is_channel
    read = reading.read_position(call.world, call.user_id, peer)
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
