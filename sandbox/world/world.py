"""The sandbox's world: its users and chats, their messages, and the listeners to its changes. In memory, no network.

The other modules of this package change the world: `sending`, `membership`, `reading` and so on. A World is not
thread-safe: everything that uses it runs in the same event loop.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from sandbox.world.boxes import Box
from sandbox.world.entities import Chat, ChatKind, LedgerEntry, User
from sandbox.world.errors import UnknownPeer, WorldError
from sandbox.world.hashes import AccessHashes
from sandbox.world.notices import Notice, WorldReset
from sandbox.world.registry import Registry

Listener = TypeVar("Listener")

__all__ = ["Chat", "LedgerEntry", "UnknownPeer", "User", "World", "WorldError"]


class World:
    """The state that the MTProto server shows to its clients, to each from its own side.

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
        self._sent: dict[tuple[int, int], LedgerEntry] = {}
        # Requests to join: (user, chat).
        self.join_requests: set[tuple[int, int]] = set()
        # (user, chat) → the peer as which the user writes in the chat. Without an entry the user writes as themselves.
        self.send_as: dict[tuple[int, int], int] = {}

    # Users and chats

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
        """Raises WorldError if the id, phone or username is taken or malformed."""
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
        """`chat_id` is a marked id. With `approval`, users can only request to join.

        Raises WorldError if a name or id is taken, malformed or unknown.
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

    # Messages

    def entry(self, seq: int) -> LedgerEntry | None:
        return self.ledger[seq - 1] if 0 < seq <= len(self.ledger) else None

    def box_of(self, viewer: int, peer: int) -> Box:
        """The box in which `viewer` finds the messages of `peer`."""
        chat = self.chats.get(peer)
        return self.boxes[peer if chat and chat.is_channel else viewer]

    def count_repeat(self, user_id: int, random_id: int) -> LedgerEntry | None:
        """The entry that the user sent with this `random_id`, whose repeat is counted; None if there is none."""
        original = self._sent.get((user_id, random_id))
        if original is not None:
            original.repeats += 1
            self.revision += 1
        return original

    def record(self, entry: LedgerEntry) -> None:
        """Append the entry to the ledger."""
        self.ledger.append(entry)
        if entry.random_id is not None:
            self._sent[entry.from_user, entry.random_id] = entry
        self.revision += 1

    # Listeners

    def subscribe(self, callback: Callable[[LedgerEntry], None]) -> Callable[[], None]:
        """Call `callback` with each new entry, once all its numbers are known. Returns a function that ends this."""
        return _registered(self._ledger_listeners, callback)

    def watch(self, callback: Callable[[Notice], None]) -> Callable[[], None]:
        """Call `callback` with each change that clients may be notified of. Returns a function that ends this."""
        return _registered(self._watchers, callback)

    def reset(self) -> None:
        """Remove all users, chats and messages; the listeners stay."""
        self._clear()
        self.revision += 1
        self.notify(WorldReset())

    def announce(self, entry: LedgerEntry) -> None:
        """Call the subscribers with a new entry."""
        for callback in list(self._ledger_listeners):
            callback(entry)

    def notify(self, notice: Notice) -> None:
        """Call the watchers."""
        for callback in list(self._watchers):
            callback(notice)

    # Snapshots. They do not contain the listeners and the clock, which belong to the process.

    def dump(self) -> dict[str, Any]:
        names = ("seed", "registry", "hashes", "ledger", "boxes", "_sent", "join_requests", "send_as")
        return {name: getattr(self, name) for name in names}

    def load(self, state: dict[str, Any]) -> None:
        """Restore what `dump` returned, in place, so that servers keep their reference to the world."""
        for name, value in state.items():
            setattr(self, name, value)
        self.revision += 1


def _registered(listeners: list[Listener], callback: Listener) -> Callable[[], None]:
    listeners.append(callback)

    def unregister() -> None:
        if callback in listeners:
            listeners.remove(callback)

    return unregister
