"""Sends updates to the connected clients about the changes in their chats."""

from collections.abc import Callable, Iterable
from typing import Any

from telethon.tl import types

from sandbox.mtproto.server_state import ServerState
from sandbox.mtproto.updates.short import SHORT, short_update
from sandbox.mtproto.updates.views import View, usernames_of
from sandbox.world.boxes import Event
from sandbox.world.notices import (
    BoxChanged,
    InboxRead,
    MembershipChanged,
    NameChanged,
    Notice,
    OutboxRead,
    Reacted,
    Typing,
)

Build = Callable[[View], Any]


class Pusher:
    """Sends updates for each notice to the users that it concerns.

    The connection whose request caused the notice gets no update, because the answer contains the change.
    """

    def __init__(self, server: ServerState) -> None:
        self._server = server

    def push(self, notice: Notice) -> None:
        world = self._server.world
        if isinstance(notice, BoxChanged):
            self._box_changed(notice.box, notice.event)
        elif isinstance(notice, Reacted):
            self._reacted(notice)
        elif isinstance(notice, InboxRead):
            self._send([notice.reader], lambda view: self._inbox_read(view, notice))
        elif isinstance(notice, OutboxRead):
            pts = world.boxes[notice.author].pts
            self._send(
                [notice.author],
                lambda view: types.UpdateReadHistoryOutbox(view.peer(notice.peer), notice.max_id, pts, 0),
            )
        elif isinstance(notice, Typing):
            self._typing(notice)
        elif isinstance(notice, NameChanged):
            self._renamed(notice.bearer)
        elif isinstance(notice, MembershipChanged) and world.chats[notice.chat].is_channel:
            self._send([notice.user], lambda view: self._channel(view, notice.chat))

    def _renamed(self, bearer: int) -> None:
        """Send a user's new names to those who may address the user, and a chat's to its members."""
        world = self._server.world
        if bearer < 0:
            members = world.chats[bearer].members if world.chats[bearer].is_channel else ()
            self._send(members, lambda view: self._channel(view, bearer))
            return
        user = world.users[bearer]
        update = types.UpdateUserName(user.id, user.first_name, user.last_name, usernames_of(user))
        self._send([viewer for viewer in world.users if world.knows(viewer, bearer)], lambda view: update)

    def _box_changed(self, box: int, event: Event) -> None:
        receivers = self._server.world.chats[box].members if box < 0 else (box,)
        messages = self._server.world.boxes[box].messages
        peer = next((messages[number].peer for number in event.message_ids if number in messages), None)
        short = short_update(box, self._server.world.boxes[box], event)
        self._send(receivers, lambda view: short or view.event(box, event), chat=peer)

    def _reacted(self, notice: Reacted) -> None:
        world = self._server.world
        receivers = world.chats[notice.box].members if notice.box < 0 else (notice.box,)
        message = world.boxes[notice.box].messages[notice.message_id]
        self._send(receivers, lambda view: view.reacted(message), chat=message.peer)

    def _inbox_read(self, view: View, notice: InboxRead) -> Any:
        world = self._server.world
        chat = world.chats.get(notice.peer)
        box = world.box_of(notice.reader, notice.peer)
        if chat and chat.is_channel:
            view.mention(chat.id)
            return types.UpdateReadChannelInbox(chat.bare_id, notice.max_id, 0, box.pts)
        return types.UpdateReadHistoryInbox(view.peer(notice.peer), notice.max_id, 0, box.pts, 0)

    def _typing(self, notice: Typing) -> None:
        chat = self._server.world.chats.get(notice.peer)
        action = types.SendMessageTypingAction()
        if chat is None:
            self._send([notice.peer], lambda view: self._user_typing(view, notice.user, action))
            return
        others = [user for user in chat.members if user != notice.user]
        kind = types.UpdateChannelUserTyping if chat.is_channel else types.UpdateChatUserTyping
        self._send(others, lambda view: kind(chat.bare_id, view.peer(notice.user), action=action))

    def _user_typing(self, view: View, user: int, action: Any) -> Any:
        view.mention(user)
        return types.UpdateUserTyping(user, action)

    def _channel(self, view: View, chat: int) -> Any:
        view.mention(chat)
        return types.UpdateChannel(self._server.world.chats[chat].bare_id)

    def _send(self, receivers: Iterable[int], build: Build, *, chat: int | None = None) -> None:
        """Build and send an update for each connected receiver. Faults may lose or double the updates of `chat`."""
        wanted = set(receivers)
        built: dict[int, bytes] = {}
        for connection in list(self._server.connections):
            user = connection.user_id
            if user not in wanted or not connection.can_push:
                continue
            if connection is self._server.answering:
                continue
            if user not in built:
                view = View(self._server.world, user)
                update = build(view)
                built[user] = bytes(update if isinstance(update, SHORT) else view.updates([update]))
            for _ in range(self._times(user, chat)):
                connection.send_bytes(built[user], content=True, answer=False)

    def _times(self, user: int, chat: int | None) -> int:
        """How often an update is sent."""
        fault = None
        if chat is not None:
            fault = self._server.faults.take(method="updates", user=user, chat=chat, stage="push")
        if fault is None:
            return 1
        return 0 if fault.kind == "UPDATE_LOST" else 2
