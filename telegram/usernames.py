"""Usernames as Telegram shows them on people and chats."""

from typing import Any


def username_in(entity: Any) -> str:
    """The username of a user or channel, as it is written there; empty without one.

    Who has collectible usernames has an empty `username`: the first active one of `usernames` is what people see
    (https://core.telegram.org/api/fragment).
    """
    return next(iter(usernames_in(entity)), "")


def usernames_in(entity: Any) -> list[str]:
    """All usernames that lead to a user or channel, the one that people see first."""
    plain = [entity.username] if getattr(entity, "username", None) else []
    listed = getattr(entity, "usernames", None) or []
    return plain + [name.username for name in listed if name.active and name.username not in plain]
