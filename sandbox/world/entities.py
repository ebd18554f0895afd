"""The objects of the sandbox's world: users, chats, and the ledger of all messages."""

from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.world.marks import PLAIN, Marks

ChatKind = Literal["group", "supergroup", "channel"]
Speaker = Literal["account", "person"]

# Telegram's marked id of a supergroup is -(10^12 + channel id); a basic group's is its id negated.
CHANNEL_MARK = 1_000_000_000_000


@dataclass(frozen=True)
class Collectible:
    """A username that was bought. While it is not active, it leads to no user or chat."""

    username: str
    active: bool = True


@dataclass
class User:
    """A Telegram account, of a simulated person or of the team. The sandbox treats both in the same way.

    `bot`: the account is a Bot API bot.
    """

    id: int
    first_name: str
    last_name: str = ""
    phone: str | None = None
    username: str | None = None
    password: str | None = None
    blocked: set[int] = field(default_factory=set)
    # Users whose full access hash the server has sent to this account. For this
    # account all other users are "min" users.
    met: set[int] = field(default_factory=set)
    bot: bool = False
    scam: bool = False
    fake: bool = False
    deleted: bool = False
    collectibles: list[Collectible] = field(default_factory=list)


@dataclass
class Chat:
    """A basic group, a supergroup or a channel. In a channel only the owner writes.

    `id` is the marked id; `members` maps the ids of users to the times when they joined.
    """

    id: int
    kind: ChatKind
    title: str
    invite_hash: str
    created_at: float
    username: str | None = None
    owner: int | None = None
    members: dict[int, float] = field(default_factory=dict)
    # Users who want to join must be admitted first.
    approval: bool = False
    # Users who have the invite link may read the chat before they join.
    peek: bool = False
    # The marked ids of the supergroup that this basic group became, and of the basic group that this supergroup was.
    migrated_to: int | None = None
    migrated_from: int | None = None
    # `topics` of a forum: their titles by the ids of the service messages that began them.
    forum: bool = False
    topics: dict[int, str] = field(default_factory=dict)
    collectibles: list[Collectible] = field(default_factory=list)
    # The marked id of a channel's discussion group, and of a discussion group's channel.
    linked: int | None = None

    @property
    def is_public(self) -> bool:
        return bool(self.username) or any(name.active for name in self.collectibles)

    @property
    def is_channel(self) -> bool:
        """Whether the protocol treats the chat as a channel; supergroups are channels too."""
        return self.kind != "group"

    @property
    def is_broadcast(self) -> bool:
        return self.kind == "channel"

    @property
    def bare_id(self) -> int:
        """The id without the mark: always positive."""
        return -self.id - CHANNEL_MARK if self.is_channel else -self.id

    @property
    def invite_link(self) -> str:
        return f"https://t.me/+{self.invite_hash}"


@dataclass
class LedgerEntry:
    """One message that the server accepted. `peer` is a marked chat id or the recipient's user id.

    In private chats and basic groups every account numbers messages itself (`message_ids`: account → number); in a
    supergroup a message has one number for all members (`channel_message_id`). `reply_to` is the `seq` of the entry
    that the message replies to, `topic` the root message of its forum topic, or the post that it comments on.
    `repeats` counts how often a client sent the same (from_user, random_id) again. Later changes are in `edits` (later
    texts), `deleted` (for all users) and `reactions` (user → emoji); `text` is always the text that was sent.
    """

    seq: int
    at: float
    from_user: int
    peer: int
    text: str
    reply_to: int | None
    random_id: int | None
    by: Speaker
    message_ids: dict[int, int] = field(default_factory=dict)
    channel_message_id: int | None = None
    topic: int | None = None
    marks: Marks = PLAIN
    repeats: int = 0
    edits: list[str] = field(default_factory=list)
    deleted: bool = False
    reactions: dict[int, str] = field(default_factory=dict)

    def id_for(self, user_id: int) -> int | None:
        """The number under which the user sees this message; None if the user never received it."""
        if self.channel_message_id is not None:
            return self.channel_message_id
        return self.message_ids.get(user_id)

    def places(self) -> list[tuple[int, int]]:
        """The message boxes that contain the message, each with the message's number in it."""
        if self.channel_message_id is not None:
            return [(self.peer, self.channel_message_id)]
        return list(self.message_ids.items())

    def as_json(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "at": self.at,
            "from_user": self.from_user,
            "peer": self.peer,
            "text": self.text,
            "reply_to": self.reply_to,
            "random_id": self.random_id,
            "message_ids": {str(user): message_id for user, message_id in self.message_ids.items()},
            "channel_message_id": self.channel_message_id,
            "topic": self.topic,
            "marks": self.marks.as_json(),
            "by": self.by,
            "repeats": self.repeats,
            "edits": self.edits,
            "deleted": self.deleted,
            "reactions": {str(user): emoji for user, emoji in self.reactions.items()},
        }
