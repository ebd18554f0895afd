"""Changes of the world, from which the server makes updates for its clients."""

from dataclasses import dataclass

from sandbox.world.boxes import Event


@dataclass(frozen=True, slots=True)
class BoxChanged:
    """`box` is a user id (private chats and basic groups) or the marked id of a supergroup."""

    box: int
    event: Event


@dataclass(frozen=True, slots=True)
class InboxRead:
    """`reader` has read the messages of `peer` up to `max_id`, the reader's number."""

    reader: int
    peer: int
    max_id: int


@dataclass(frozen=True, slots=True)
class OutboxRead:
    """`peer` has read the messages of `author` up to `max_id`, the author's number."""

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
    """`user` types in `peer`: a marked chat id, or the id of the recipient."""

    user: int
    peer: int


@dataclass(frozen=True, slots=True)
class MembershipChanged:
    """`user` joined or left `chat`."""

    user: int
    chat: int


@dataclass(frozen=True, slots=True)
class NameChanged:
    """The usernames of a user or chat have changed."""

    bearer: int


@dataclass(frozen=True, slots=True)
class WorldReset:
    """All users, chats and messages were removed."""


Notice = BoxChanged | Reacted | InboxRead | OutboxRead | Typing | MembershipChanged | NameChanged | WorldReset
