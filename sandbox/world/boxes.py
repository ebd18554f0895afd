"""Message boxes: numbered messages, and the sequence of their changes, which is numbered by pts.

Every account has one box for its private chats and basic groups; every supergroup has its own
(https://core.telegram.org/api/updates). `pts` grows by `pts_count` with each event, so that a client
notices that it has missed events and requests the difference.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from sandbox.world.marks import PLAIN, Marks

Action = Literal["joined", "joined_by_link", "left", "migrate_to", "migrate_from", "topic"]
EventKind = Literal["message", "edit", "delete"]


@dataclass(frozen=True, slots=True)
class Message:
    """A message in a box, with the box's number. `peer` and `reply_to` are as the box's owner sees them.

    `topic` is the root message of its forum topic. `action` marks a service message, which has no text and no ledger
    entry. `edited_at` is the time of the latest change of the text.
    """

    id: int
    at: float
    from_user: int
    peer: int
    text: str = ""
    reply_to: int | None = None
    seq: int | None = None
    action: Action | None = None
    edited_at: float | None = None
    topic: int | None = None
    marks: Marks = PLAIN

    @property
    def shown_author(self) -> int:
        """The author that clients show: a user id, or the marked id of the peer as which the user writes."""
        return self.marks.send_as or self.from_user


@dataclass(frozen=True, slots=True)
class Event:
    """An event of `pts_count` changes. After it the box is at `pts`."""

    pts: int
    pts_count: int
    kind: EventKind
    message_ids: tuple[int, ...]


@dataclass
class Box:
    """The messages of one account or one supergroup, and their event sequence."""

    pts: int = 1
    messages: dict[int, Message] = field(default_factory=dict)
    by_peer: dict[int, list[int]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    read_inbox: dict[int, int] = field(default_factory=dict)
    read_outbox: dict[int, int] = field(default_factory=dict)
    last_id: int = 0

    def next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def append(self, message: Message) -> Event:
        self.messages[message.id] = message
        self.by_peer.setdefault(message.peer, []).append(message.id)
        return self._record("message", (message.id,))

    def edit(self, message_id: int, *, text: str, at: float) -> Event | None:
        """Change a message's text. Returns None if the message is gone."""
        message = self.messages.get(message_id)
        if message is None:
            return None
        self.messages[message_id] = replace(message, text=text, edited_at=at)
        return self._record("edit", (message_id,))

    def delete(self, message_ids: list[int]) -> Event | None:
        """Delete the messages that exist. Returns None if there are none."""
        gone = tuple(i for i in message_ids if i in self.messages)
        for message_id in gone:
            message = self.messages.pop(message_id)
            self.by_peer[message.peer].remove(message_id)
        return self._record("delete", gone) if gone else None

    def since(self, pts: int) -> Iterator[Event]:
        """The events after `pts`, oldest first."""
        start = bisect_right(self.events, pts, key=lambda event: event.pts)
        for index in range(start, len(self.events)):
            yield self.events[index]

    def event_of(self, message_id: int) -> Event | None:
        """The event that added this message; None if the message is gone."""
        if message_id not in self.messages:
            return None
        brought = (e for e in reversed(self.events) if e.kind == "message" and e.message_ids == (message_id,))
        return next(brought, None)

    def history(self, peer: int) -> list[int]:
        """Message ids of one chat, ascending."""
        return self.by_peer.get(peer, [])

    def _record(self, kind: EventKind, ids: tuple[int, ...]) -> Event:
        self.pts += len(ids)
        event = Event(self.pts, len(ids), kind, ids)
        self.events.append(event)
        return event
