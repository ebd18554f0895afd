"""Who wrote a message, as far as Telegram shows it.

What somebody is stands on every description of them, also on the short ("min") one that a busy chat's updates bring
(https://core.telegram.org/api/min). Only an update without descriptions leaves it open: then what the account has been
told of them before counts.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from telethon.tl import types

from telegram.types import UNKNOWN_AUTHOR, Author

# Telegram's own notices come from this account, login codes among them.
SERVICE_USERS = frozenset({777000})


class Met(Protocol):
    """What an account remembers of people."""

    def username_of(self, user_id: int) -> str:
        """In lower case; empty without one."""

    def author_of(self, user_id: int) -> Author | None:
        """None: they were not described yet."""


def described(user: Any) -> Author:
    """By Telegram's description of a user."""
    if not isinstance(user, types.User):
        return UNKNOWN_AUTHOR
    flags = {"scam": bool(user.scam), "fake": bool(user.fake)}
    if user.deleted:
        return Author("deleted", **flags)
    if user.id in SERVICE_USERS or user.support:
        return Author("service", **flags)
    return Author("bot" if user.bot else "person", **flags)


def author_id(message: Any, self_id: int) -> int | None:
    """The user who wrote it; None when it is shown as somebody else's: a channel's, an anonymous admin's."""
    if isinstance(message.from_id, types.PeerUser):
        return int(message.from_id.user_id)
    if message.from_id is None and isinstance(message.peer_id, types.PeerUser):
        return self_id if message.out else int(message.peer_id.user_id)
    return None


def author_in(message: Any, user_id: int | None, self_id: int, entities: Mapping[int, Any], met: Met) -> Author:
    """`user_id` as `author_id` found it; `entities` came with the message."""
    if user_id is None:
        # A channel's own posts have no author. In a group no author means the group itself: an anonymous admin.
        anonymous = not getattr(message, "post", False) and message.from_id in (None, message.peer_id)
        return Author("anonymous_admin" if anonymous else "channel")
    if user_id == self_id:
        return Author("person")
    if (entity := entities.get(user_id)) is not None:
        return described(entity)
    return met.author_of(user_id) or UNKNOWN_AUTHOR
