"""What goes in and out of the adapter. Ids of chats are marked (-100… supergroups, -… groups), of people positive."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

ChatKind = Literal["group", "supergroup"]

# Marked ids of supergroups and channels lie below this.
SUPERGROUPS_BELOW = -1_000_000_000_000


def is_supergroup(peer_id: int) -> bool:
    """Whether a marked id is a supergroup's (or channel's): its messages are numbered per chat, without holes."""
    return peer_id < SUPERGROUPS_BELOW


def is_group(peer_id: int) -> bool:
    """Whether a marked id is a basic group's."""
    return peer_id < 0 and not is_supergroup(peer_id)


@dataclass(frozen=True)
class Credentials:
    """With what an application signs in. `proxy_url` as `telegram.connection.proxy_settings` reads it, or empty.

    Printed, it shows neither the hash nor the proxy's password.
    """

    api_id: int
    api_hash: str = field(repr=False)
    proxy_url: str = field(default="", repr=False)


# "service": Telegram itself, which sends login codes. "unknown": nothing that Telegram sent says who that is.
AuthorKind = Literal["person", "bot", "deleted", "channel", "anonymous_admin", "service", "unknown"]


@dataclass(frozen=True)
class Author:
    """What wrote a message. A Telegram user account is a "person", whoever uses it; a "bot" is a Bot API bot. `scam`
    and `fake` are Telegram's own labels."""

    kind: AuthorKind
    scam: bool = False
    fake: bool = False


UNKNOWN_AUTHOR = Author("unknown")


@dataclass(frozen=True)
class IncomingMessage:
    """A message as one account sees it. Ids in private chats and basic groups are that account's own.

    `service`: nobody's words (somebody joined, the title changed); it only takes up an id. `outgoing`: the account
    sent it, even if it shows as a channel's. `from_user_id` is None where no user shows as the author. With
    `via_bot_id` (an inline bot made the text) or `forwarded` the words are not the author's own. Messages with the same
    `grouped_id` are one album.
    """

    peer_id: int
    message_id: int
    from_user_id: int | None
    from_username: str
    from_name: str
    text: str
    said_at: datetime
    outgoing: bool
    reply_to_message_id: int | None
    private: bool
    service: bool = False
    edited_at: datetime | None = None
    author: Author = UNKNOWN_AUTHOR
    via_bot_id: int | None = None
    forwarded: bool = False
    grouped_id: int | None = None


@dataclass(frozen=True)
class MessageNow:
    """How a message is now, as one account sees it; None where this is not known.

    `peer_id` None: in a private chat or basic group, whose messages the account numbers together. `text` is its whole
    text; `edited_at` None: never edited. `reactions` as people read them ("❤ 2 👍 1"), "" for none. `from_user_id` and
    `from_username`: who wrote it, if it is what somebody else wrote in a private chat.
    """

    peer_id: int | None
    message_id: int
    text: str | None = None
    edited_at: datetime | None = None
    reactions: str | None = None
    deleted: bool = False
    from_user_id: int | None = None
    from_username: str = ""


@dataclass(frozen=True)
class ChatTarget:
    """A group or supergroup: by its marked id once known, else by @username or invite link."""

    reference: str = ""
    telegram_id: int | None = None


@dataclass(frozen=True)
class PersonTarget:
    """A person. Reached by what the account already knows of `user_id`, through the message
    `via_message_id` that they wrote in the shared chat `via_chat_id` (marked), or by username.
    """

    user_id: int | None = None
    username: str = ""
    via_chat_id: int | None = None
    via_message_id: int | None = None


Target = ChatTarget | PersonTarget


@dataclass(frozen=True)
class ResolvedChat:
    """`upgraded_from`: the marked id of the basic group that this supergroup was, where Telegram has said so. `left`:
    the account is known not to be in it. `joined`: it was not in it before."""

    telegram_id: int
    kind: ChatKind
    title: str
    upgraded_from: int | None = None
    left: bool = False
    joined: bool = False


@dataclass(frozen=True)
class Dialog:
    """A chat in the account's list: one that it is a member of, or a person it has talked with.

    `usernames` are those that lead to it, without @. `upgraded`: a basic group that is a supergroup now.
    """

    peer_id: int
    top_message_id: int
    title: str
    kind: Literal["private", "group", "supergroup", "other"]
    usernames: tuple[str, ...] = ()
    upgraded: bool = False


@dataclass(frozen=True)
class SentMessage:
    """`message_id` as the sending account sees it; `user_id` is the peer's id when it is a person."""

    message_id: int
    at: datetime
    user_id: int | None = None


@dataclass(frozen=True)
class Me:
    user_id: int
    username: str
    phone: str
