"""Usernames as Telegram shows them on people and chats."""

from typing import Any


def username_in(entity: Any) -> str:
    """The username that Telegram shows for a user or channel; empty if there is none.

    Users with collectible usernames have an empty `username`: Telegram shows the first active one of `usernames`
    (https://core.telegram.org/api/fragment).
    """
    return next(iter(usernames_in(entity)), "")


def usernames_in(entity: Any) -> list[str]:
    """All usernames that lead to a user or channel. The first is the one that Telegram shows."""
    plain = [entity.username] if getattr(entity, "username", None) else []
    listed = getattr(entity, "usernames", None) or []
    return plain + [name.username for name in listed if name.active and name.username not in plain]
