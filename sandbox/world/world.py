"""The sandbox's world: who exists, who is where, and what was said. Pure memory, no network.

Not thread-safe: everything that uses one World runs in one event loop.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from sandbox.world.boxes import Action, Box, Message
from sandbox.world.entities import Chat, ChatKind, LedgerEntry, Speaker, User
from sandbox.world.errors import UnknownPeer, WorldError
from sandbox.world.hashes import AccessHashes
from sandbox.world.marks import PLAIN, Marks
from sandbox.world.notices import (
    BoxChanged,
    InboxRead,
    MembershipChanged,
    Notice,
    OutboxRead,
    Typing,
    WorldReset,
)
from sandbox.world.registry import Registry
from sandbox.world.texts import as_stored

MAX_TEXT = 4096  # Telegram's limit for one message, in characters

Listener = TypeVar("Listener")

__all__ = ["Chat", "LedgerEntry", "UnknownPeer", "User", "World", "WorldError"]


class World:
    """The truth that the MTProto server shows to its clients, each from their own side.

    `clock` gives unix seconds; `seed` decides invite links and access hashes.
    """

    def __init__(self, clock: Callable[[], float] = time.time, seed: int = 0) -> None:
        self.clock = clock
        self.seed = seed
        self.revision = 0
        self._ledger_listeners: list[Callable[[LedgerEntry], None]] = []
        self._watchers: list[Callable[[Notice], None]] = []
        self._clear()

    def _clear(self) -> None:
        self.registry = Registry(seed=self.seed)
        self.hashes = AccessHashes(self.seed)
        self.ledger: list[LedgerEntry] = []
        self.boxes: dict[int, Box] = {}
        self._said: dict[tuple[int, int], LedgerEntry] = {}
        # Who has asked to join where: (user, chat).
        self.join_requests: set[tuple[int, int]] = set()
        # As whom somebody writes where, by (user, chat); otherwise as themselves.
        self.send_as: dict[tuple[int, int], int] = {}

    # Who and what exists

    @property
    def users(self) -> dict[int, User]:
        return self.registry.users

    @property
    def chats(self) -> dict[int, Chat]:
        return self.registry.chats

    def add_user(
        self,
        *,
        first_name: str,
        last_name: str = "",
        phone: str | None = None,
        username: str | None = None,
        user_id: int | None = None,
        password: str | None = None,
    ) -> User:
        """Raises WorldError when the id, phone or username is taken or malformed."""
        user = self.registry.add_user(
            first_name=first_name,
            last_name=last_name,
            phone=phone,
            username=username,
            user_id=user_id,
            password=password,
        )
        self.boxes[user.id] = Box(last_id=self.registry.used_message_ids())
        self.revision += 1
        return user

    def add_chat(
        self,
        *,
        kind: ChatKind,
        title: str,
        username: str | None = None,
        invite_hash: str | None = None,
        members: Iterable[int] = (),
        chat_id: int | None = None,
        owner: int | None = None,
        approval: bool = False,
    ) -> Chat:
        """`chat_id` is a marked id; with `approval` one can only ask to be let in.

        Raises WorldError when something is taken, malformed or unknown.
        """
        chat = self.registry.add_chat(
            kind=kind,
            title=title,
            username=username,
            invite_hash=invite_hash,
            chat_id=chat_id,
            owner=owner,
            members=members,
            at=self.clock(),
            approval=approval,
        )
        if chat.is_channel:
            self.boxes[chat.id] = Box()
        self.revision += 1
        return chat

    def find_username(self, username: str) -> User | Chat | None:
        return self.registry.find_username(username)

    def find_phone(self, phone: str) -> User | None:
        return self.registry.find_phone(phone)

    def find_invite(self, invite_hash: str) -> Chat | None:
        return self.registry.find_invite(invite_hash)

    def knows(self, viewer: int, target: int) -> bool:
        """Whether `viewer` may address `target` by an access hash of their own."""
        if viewer == target or target in self.users[viewer].met:
            return True
        return any(
            viewer in chat.members and target in chat.members for chat in self.chats.values() if not chat.is_channel
        )

    def meet(self, viewer: int, target: int) -> None:
        """From now on `viewer` may address `target`."""
        if viewer != target and target not in self.users[viewer].met:
            self.users[viewer].met.add(target)
            self.revision += 1

    # Who is where

    def join(self, user_id: int, chat_id: int, *, announce: Action | None = None) -> None:
        """Makes the user a member; a no-op for a member. `announce` leaves a service message behind."""
        chat, user = self.registry.chat(chat_id), self.registry.user(user_id)
        if user.id in chat.members:
            return
        chat.members[user.id] = self.clock()
        self.revision += 1
        self.notify(MembershipChanged(user.id, chat.id))
        if announce:
            self.post_action(user.id, chat, announce)

    def ask_to_join(self, user_id: int, chat_id: int) -> None:
        self.join_requests.add((user_id, chat_id))
        self.revision += 1

    def approve(self, user_id: int, chat_id: int) -> None:
        """Let somebody in who has asked. Raises WorldError when they have not."""
        if (user_id, chat_id) not in self.join_requests:
            raise WorldError("HIDE_REQUESTER_MISSING")
        self.join_requests.discard((user_id, chat_id))
        self.join(user_id, chat_id, announce="joined_by_link")

    def leave(self, user_id: int, chat_id: int) -> None:
        chat = self.registry.chat(chat_id)
        if chat.members.pop(user_id, None) is not None:
            self.revision += 1
            self.notify(MembershipChanged(user_id, chat.id))

    def block(self, user_id: int, other_id: int) -> None:
        """`user_id` blocks `other_id`."""
        self.registry.user(other_id)
        self.registry.user(user_id).blocked.add(other_id)
        self.revision += 1

    def unblock(self, user_id: int, other_id: int) -> None:
        self.registry.user(user_id).blocked.discard(other_id)
        self.revision += 1

    # What is said

    def say(
        self,
        *,
        user_id: int,
        peer: int,
        text: str,
        reply_to: int | None = None,
        random_id: int | None = None,
        by: Speaker = "person",
        marks: Marks = PLAIN,
    ) -> LedgerEntry:
        """Says `text` once. `peer` is a marked chat id or a user id; `reply_to` is the speaker's own id. It is kept
        as Telegram keeps texts. In whose name, if the `marks` do not say so, `send_as` knows.

        A repeat of (user_id, random_id) answers with the original entry and counts in its `repeats`.
        Raises WorldError with Telegram's error name when the speaker may not say it there.
        """
        if random_id is not None and (original := self._said.get((user_id, random_id))):
            original.repeats += 1
            self.revision += 1
            return original
        speaker = self.registry.user(user_id)
        text = as_stored(text)
        if not marks.photo or text:
            check_text(text)
        replied = self._replied(speaker.id, peer, reply_to)
        entry = LedgerEntry(len(self.ledger) + 1, self.clock(), speaker.id, peer, text, replied, random_id, by)
        entry.topic = self._topic(peer, reply_to)
        default = self.send_as.get((speaker.id, peer)) if marks.send_as is None else None
        entry.marks = marks if default is None else replace(marks, send_as=default)
        if peer < 0:
            self._say_in_chat(entry)
        else:
            self._say_in_private(entry)
        return entry

    def entry(self, seq: int) -> LedgerEntry | None:
        return self.ledger[seq - 1] if 0 < seq <= len(self.ledger) else None

    def box_of(self, viewer: int, peer: int) -> Box:
        """Where `viewer` finds the messages of `peer`."""
        chat = self.chats.get(peer)
        return self.boxes[peer if chat and chat.is_channel else viewer]

    def _say_in_chat(self, entry: LedgerEntry) -> None:
        chat = self.registry.chat(entry.peer)
        self.check_may_write(entry.from_user, chat)
        self._store(entry)
        self._post_to_chat(entry.from_user, chat, entry=entry)
        self._announce(entry)

    def _say_in_private(self, entry: LedgerEntry) -> None:
        speaker, other = self.registry.user(entry.from_user), self.registry.user(entry.peer)
        if other.id in speaker.blocked:
            raise WorldError("YOU_BLOCKED_USER")
        if speaker.id in other.blocked:
            raise WorldError("USER_IS_BLOCKED")
        self._store(entry)
        self.meet(speaker.id, other.id)
        self.meet(other.id, speaker.id)
        self._post(speaker.id, entry.from_user, other.id, entry)
        if other.id != speaker.id:
            self._post(other.id, entry.from_user, speaker.id, entry)
        self._announce(entry)

    def check_may_write(self, user_id: int, chat: Chat) -> None:
        if chat.migrated_to is not None:
            raise WorldError("PEER_ID_INVALID", f"{chat.id} is {chat.migrated_to} now")
        if chat.is_broadcast and user_id != chat.owner:
            raise WorldError("CHAT_ADMIN_REQUIRED")
        if user_id in chat.members:
            return
        hidden = chat.is_channel and not chat.is_public
        raise WorldError("CHANNEL_PRIVATE" if hidden else "CHAT_WRITE_FORBIDDEN")

    def _replied(self, speaker: int, peer: int, reply_to: int | None) -> int | None:
        """The ledger entry behind the speaker's own message id."""
        if reply_to is None or (peer not in self.users and peer not in self.chats):
            return None
        message = self.box_of(speaker, peer).messages.get(reply_to)
        if message is None or message.peer != peer:
            raise WorldError("REPLY_MESSAGE_ID_INVALID", f"{speaker} sees no message {reply_to} in {peer}")
        return message.seq

    def _topic(self, peer: int, reply_to: int | None) -> int | None:
        """The root of the forum's topic in which a reply to this message is."""
        chat = self.chats.get(peer)
        if chat is None or not chat.forum or reply_to is None:
            return None
        return reply_to if reply_to in chat.topics else self.boxes[peer].messages[reply_to].topic

    def _store(self, entry: LedgerEntry) -> None:
        self.ledger.append(entry)
        if entry.random_id is not None:
            self._said[entry.from_user, entry.random_id] = entry
        self.revision += 1

    def post_action(self, from_user: int, chat: Chat, action: Action) -> None:
        """Leaves a service message behind."""
        self._post_to_chat(from_user, chat, action=action)
        self.revision += 1

    def _post_to_chat(
        self, from_user: int, chat: Chat, *, entry: LedgerEntry | None = None, action: Action | None = None
    ) -> None:
        if chat.is_channel:
            self._post(chat.id, from_user, chat.id, entry, action)
            return
        # The author first: whoever is told of the message may ask at once for the author's own number.
        for member in [from_user, *(user for user in chat.members if user != from_user)]:
            self._post(member, from_user, chat.id, entry, action)

    def _post(
        self,
        box_id: int,
        from_user: int,
        peer: int,
        entry: LedgerEntry | None,
        action: Action | None = None,
    ) -> None:
        box = self.boxes[box_id]
        message_id = box.next_id()
        reply_to = None
        if entry:
            if box_id < 0:
                entry.channel_message_id = message_id
            else:
                entry.message_ids[box_id] = message_id
            replied = self.entry(entry.reply_to) if entry.reply_to else None
            reply_to = replied.id_for(box_id) if replied else None
        at, text, seq = (entry.at, entry.text, entry.seq) if entry else (self.clock(), "", None)
        topic, marks = (entry.topic, entry.marks) if entry else (None, PLAIN)
        message = Message(message_id, at, from_user, peer, text, reply_to, seq, action, topic=topic, marks=marks)
        self.notify(BoxChanged(box_id, box.append(message)))

    def delete(self, *, user_id: int, peer: int | None, message_ids: list[int]) -> tuple[int, int]:
        """Deletes from the account's box (or the supergroup's); gives the box's pts and the count."""
        box_id = peer if peer is not None else user_id
        box = self.boxes[box_id]
        for message_id in message_ids if box_id < 0 else ():
            if (message := box.messages.get(message_id)) and (entry := self.entry(message.seq or 0)):
                entry.deleted = True
        event = box.delete(message_ids)
        if event is None:
            return box.pts, 0
        self.revision += 1
        self.notify(BoxChanged(box_id, event))
        return event.pts, event.pts_count

    # What is read and typed

    def read(self, *, user_id: int, peer: int, max_id: int) -> int:
        """Marks messages up to `max_id` (0: all) as read by the user; gives the position afterwards."""
        box = self.box_of(user_id, peer)
        ids = box.history(peer)
        last = ids[-1] if ids else 0
        position = min(max_id, last) if max_id else last
        key = user_id if box is not self.boxes[user_id] else peer
        if position <= box.read_inbox.get(key, 0):
            return box.read_inbox.get(key, 0)
        box.read_inbox[key] = position
        self.revision += 1
        self.notify(InboxRead(user_id, peer, position))
        if peer > 0 and peer != user_id:
            self._read_outbox(author=peer, reader=user_id, read=box, position=position)
        return position

    def read_position(self, user_id: int, peer: int) -> int:
        box = self.box_of(user_id, peer)
        return box.read_inbox.get(user_id if box is not self.boxes[user_id] else peer, 0)

    def _read_outbox(self, *, author: int, reader: int, read: Box, position: int) -> None:
        newest = max(
            (
                entry.message_ids.get(author, 0)
                for i in read.history(author)
                if i <= position and (entry := self.entry(read.messages[i].seq or 0))
            ),
            default=0,
        )
        if newest > self.boxes[author].read_outbox.get(reader, 0):
            self.boxes[author].read_outbox[reader] = newest
            self.notify(OutboxRead(author, reader, newest))

    def type(self, *, user_id: int, peer: int) -> None:
        self.notify(Typing(user_id, peer))

    # Who listens

    def subscribe(self, callback: Callable[[LedgerEntry], None]) -> Callable[[], None]:
        """Calls back with every new entry, after everyone's numbers are known; gives the unsubscribe."""
        return _registered(self._ledger_listeners, callback)

    def watch(self, callback: Callable[[Notice], None]) -> Callable[[], None]:
        """Calls back with everything that a client may have to be told; gives the unwatch."""
        return _registered(self._watchers, callback)

    def reset(self) -> None:
        """Forgets users, chats and messages; listeners stay."""
        self._clear()
        self.revision += 1
        self.notify(WorldReset())

    def _announce(self, entry: LedgerEntry) -> None:
        for callback in list(self._ledger_listeners):
            callback(entry)

    def notify(self, notice: Notice) -> None:
        """Tell those who watch."""
        for callback in list(self._watchers):
            callback(notice)

    # Snapshots: listeners and the clock belong to the process, not to the world

    def dump(self) -> dict[str, Any]:
        names = ("seed", "registry", "hashes", "ledger", "boxes", "_said", "join_requests", "send_as")
        return {name: getattr(self, name) for name in names}

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what `dump` gave, in place, so that servers keep their reference."""
        for name, value in state.items():
            setattr(self, name, value)
        self.revision += 1


def check_text(text: str) -> None:
    """Raises WorldError for what nobody can say."""
    if not text.strip():
        raise WorldError("MESSAGE_EMPTY")
    if len(text) > MAX_TEXT:
        raise WorldError("MESSAGE_TOO_LONG")


def _registered(listeners: list[Listener], callback: Listener) -> Callable[[], None]:
    listeners.append(callback)

    def unregister() -> None:
        if callback in listeners:
            listeners.remove(callback)

    return unregister
