"""The values that the Telegram adapter takes and returns.

Chat ids are marked: -100… for supergroups and channels, -… for basic groups. Ids of people are positive.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

ChatKind = Literal["group", "supergroup"]

# The topic of a forum's messages that belong to no other topic.
GENERAL_TOPIC = 1

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
    """An application's credentials at Telegram, and the proxy to connect through.

    `proxy_url` is in the form that `telegram.connection.proxy_settings` reads, or empty. The repr contains neither the
    hash nor the proxy's URL with its password.
    """

    api_id: int
    api_hash: str = field(repr=False)
    proxy_url: str = field(default="", repr=False)


# "service": Telegram itself, which sends login codes. "unknown": Telegram sent nothing that identifies the author.
AuthorKind = Literal["person", "bot", "deleted", "channel", "anonymous_admin", "service", "unknown"]


@dataclass(frozen=True)
class Author:
    """The kind of author of a message.

    A Telegram user account is a "person", even if a program uses it; a "bot" is a Bot API bot. `scam` and `fake` are
    Telegram's own labels.
    """

    kind: AuthorKind
    scam: bool = False
    fake: bool = False


UNKNOWN_AUTHOR = Author("unknown")


@dataclass(frozen=True)
class IncomingMessage:
    """A message as one account sees it. In private chats and basic groups each account numbers the messages itself.

    `service`: a notice without text (a member joined, the title changed), which only uses up an id. `outgoing`: the
    account sent the message, even if Telegram shows a channel as the author. `from_user_id` is None if Telegram shows
    no user as the author. If `via_bot_id` (an inline bot wrote the text) or `forwarded` is set, the author did not
    write the text. Messages with the same `grouped_id` form one album. `topic_id` is the forum's topic; None outside
    forums and in the topic General. `thread_id` is the message that began the thread of replies, outside forums: in a
    discussion group, for comments, the forwarded post. `is_post`: it is such a post, which Telegram has forwarded.
    """

    peer_id: int
    message_id: int
    from_user_id: int | None
    from_username: str
    from_name: str
    text: str
    sent_at: datetime
    outgoing: bool
    reply_to_message_id: int | None
    private: bool
    service: bool = False
    edited_at: datetime | None = None
    author: Author = UNKNOWN_AUTHOR
    via_bot_id: int | None = None
    forwarded: bool = False
    grouped_id: int | None = None
    topic_id: int | None = None
    thread_id: int | None = None
    is_post: bool = False


@dataclass(frozen=True)
class MessageNow:
    """The present state of a message, as one account sees it. Unless stated otherwise, None means "not known".

    `peer_id` is None for a message in a private chat or basic group: the account numbers all of these together.
    `text` is the whole text. `edited_at` is None if the message was never edited. `reactions` is a text as people read
    it ("❤ 2 👍 1"), "" for no reactions. `from_user_id` and `from_username` identify the author of an incoming message
    in a private chat; for other messages they are None and "". `message` is the whole message if it is in a group or
    channel and its content was edited.
    """

    peer_id: int | None
    message_id: int
    text: str | None = None
    edited_at: datetime | None = None
    reactions: str | None = None
    deleted: bool = False
    from_user_id: int | None = None
    from_username: str = ""
    message: IncomingMessage | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ChatTarget:
    """A group or supergroup: its marked id if that is known, otherwise an @username or invite link."""

    reference: str = ""
    telegram_id: int | None = None


@dataclass(frozen=True)
class PersonTarget:
    """A person.

    The account reaches them in one of three ways: by `user_id`, if it knows this id already; through the shared chat
    `via_chat_id` (a marked id), in a supergroup by the message `via_message_id` that they wrote there; or by the
    username.
    """

    user_id: int | None = None
    username: str = ""
    via_chat_id: int | None = None
    via_message_id: int | None = None


Target = ChatTarget | PersonTarget


@dataclass(frozen=True)
class ResolvedChat:
    """A chat that a reference leads to.

    `upgraded_from`: the marked id of the basic group that became this supergroup, if known. `left`: the
    account is known not to be in the chat. `joined`: the account has joined the chat just now.
    `channel`: only admins post there.
    """

    telegram_id: int
    kind: ChatKind
    title: str
    upgraded_from: int | None = None
    left: bool = False
    joined: bool = False
    channel: bool = False


@dataclass(frozen=True)
class Dialog:
    """An entry of the account's list of chats: a chat that it is a member of, or a private chat with a person.

    `usernames` are all usernames that lead to the chat, without @. `upgraded`: a basic group that is a supergroup now.
    `forum`: the supergroup has topics. `channel`: only admins post there.
    """

    peer_id: int
    top_message_id: int
    title: str
    kind: Literal["private", "group", "supergroup", "other"]
    usernames: tuple[str, ...] = ()
    upgraded: bool = False
    forum: bool = False
    channel: bool = False


@dataclass(frozen=True)
class OlderMessages:
    """A page of a chat's history, newest message first.

    `lowest_id` is the lowest id on the page, with messages that are left out of `messages`; 0 if there are none.
    `oldest` is the time of the page's oldest message.
    """

    messages: list[IncomingMessage]
    lowest_id: int
    oldest: datetime | None


@dataclass(frozen=True)
class SentMessage:
    """A sent message. `message_id` is the id that the sending account sees.

    `user_id` is the recipient's id; None for a message to a chat.
    """

    message_id: int
    at: datetime
    user_id: int | None = None


@dataclass(frozen=True)
class Me:
    user_id: int
    username: str
    phone: str
