"""Notices of changes in the world, from which servers make updates for their clients."""

from dataclasses import dataclass

from sandbox.world.boxes import Event


@dataclass(frozen=True, slots=True)
class BoxChanged:
    """`box` is a user id (private chats and basic groups) or the marked id of a supergroup."""

    box: int
    event: Event


@dataclass(frozen=True, slots=True)
class InboxRead:
    """`reader` has read `peer` up to `max_id` (the reader's numbering)."""

    reader: int
    peer: int
    max_id: int


@dataclass(frozen=True, slots=True)
class OutboxRead:
    """What `author` wrote to `peer` was read up to `max_id` (the author's numbering)."""

    author: int
    peer: int
    max_id: int


@dataclass(frozen=True, slots=True)
class Reacted:
    """The reactions to a message of `box` have changed."""

    box: int
    message_id: int


@dataclass(frozen=True, slots=True)
class Typing:
    """`user` types in `peer`: a marked chat id, or the user id of the one it is addressed to."""

    user: int
    peer: int


@dataclass(frozen=True, slots=True)
class MembershipChanged:
    """`user` joined or left `chat`."""

    user: int
    chat: int


@dataclass(frozen=True, slots=True)
class NameChanged:
    """The usernames of a user or chat are others."""

    bearer: int


@dataclass(frozen=True, slots=True)
class WorldReset:
    """Everything is gone: users, chats, messages."""


Notice = BoxChanged | Reacted | InboxRead | OutboxRead | Typing | MembershipChanged | NameChanged | WorldReset
