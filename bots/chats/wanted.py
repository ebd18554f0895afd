"""Determines which bots of a role should be connected."""

from datetime import datetime
from uuid import UUID

from bots.chats.references import bots_to_check
from bots.roles import handler_of


def bots_wanted(*, role: str, now: datetime) -> set[UUID]:
    """The bots that the role's handler needs, and those that have to check a chat's changed reference."""
    handler = handler_of(role)
    return set() if handler is None else handler.wanted(now) | bots_to_check(role=role, now=now)
