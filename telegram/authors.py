"""Identifies the author of a message, as far as Telegram shows the author.

Every description of a user contains the kind of user, even the short ("min") description in updates of busy chats
(https://core.telegram.org/api/min). If an update contains no description of the author, the last description that the
account has received counts.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from telethon.tl import types

from telegram.types import UNKNOWN_AUTHOR, Author

# Telegram sends its own notices from this account, for example login codes.
SERVICE_USERS = frozenset({777000})


class KnownUsers(Protocol):
    """The users that an account has received descriptions of."""

    def username_of(self, user_id: int) -> str:
        """The last known username in lower case; empty if there is none."""

    def author_of(self, user_id: int) -> Author | None:
        """The author by the last description; None if there was none since the connection began."""


def described(user: Any) -> Author:
    """The author by Telegram's description of a user."""
    if not isinstance(user, types.User):
        return UNKNOWN_AUTHOR
    flags = {"scam": bool(user.scam), "fake": bool(user.fake)}
    if user.deleted:
        return Author("deleted", **flags)
    if user.id in SERVICE_USERS or user.support:
        return Author("service", **flags)
    return Author("bot" if user.bot else "person", **flags)


def author_id(message: Any, self_id: int) -> int | None:
    """The id of the user who wrote the message; None if Telegram shows a channel or an anonymous admin instead."""
    if isinstance(message.from_id, types.PeerUser):
        return int(message.from_id.user_id)
    if message.from_id is None and isinstance(message.peer_id, types.PeerUser):
        return self_id if message.out else int(message.peer_id.user_id)
    return None


def author_in(
    message: Any, user_id: int | None, self_id: int, entities: Mapping[int, Any], known: KnownUsers
) -> Author:
    """The author of the message. `user_id` is from `author_id`; `entities` came with the message."""
    if user_id is None:
        # A channel's own posts have no author. In a group, a message of the group itself is from an anonymous admin.
        anonymous = not getattr(message, "post", False) and message.from_id in (None, message.peer_id)
        return Author("anonymous_admin" if anonymous else "channel")
    if user_id == self_id:
        return Author("person")
    if (entity := entities.get(user_id)) is not None:
        return described(entity)
    return known.author_of(user_id) or UNKNOWN_AUTHOR
