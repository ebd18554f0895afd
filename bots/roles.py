"""The registry of role handlers: what the rooms above do with the bots of a role.

Each room registers its handler once, when its app is ready.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from campaigns.models import Chat
from telegram.types import IncomingMessage, MessageNow


class RoleHandler(Protocol):
    """The door from a role's bots up to the room that uses them. Called from threads, with the ORM at hand."""

    # Whether messages of the chats from `chats`, and of direct chats, are to be recorded.
    reads_chats: bool
    reads_private: bool

    def wanted(self, now: datetime) -> set[UUID]:
        """The bots of this role that should be connected at `now`. Called every few seconds: one query."""

    def chats(self, bot_id: UUID) -> list[Chat]:
        """The chats that the bot must be a member of, as of now. Among them those whose changed reference an account
        has to confirm (`reference_changed_at`): it enters and reads them only afterwards."""

    def on_message(self, *, bot_id: UUID, message: IncomingMessage) -> None:
        """Record a message: called once for each, in order within a chat, in the transaction that moves the cursor.

        No network. An exception takes the transaction back and the message comes again, three times at most.
        """

    def on_changes(self, *, bot_id: UUID, changes: Sequence[MessageNow]) -> list[MessageNow]:
        """Record what became of messages that others wrote: edits and deletions, in their order. Returns the changes
        of messages that are not known here, also when one was a stop.

        With those of direct messages and basic groups (no `peer_id`) where `reads_private`, with all where
        `reads_chats`. No network. May be called again with the same changes.
        """

    def heard_since(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        """The numbers of direct messages that others wrote since then and nobody has deleted; the newest `most`."""

    def people_unrecorded(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        """Whose direct chats with the bot moved since then and are to be looked at again, although no message there is
        known here; the latest `most`. Only where `reads_private`."""

    def why_kept(self, bot_id: UUID) -> str:
        """Why a bot may get no role but this one, and what to do instead; empty when it may. Called in a transaction,
        and the answer holds until that ends: what would change it waits."""


_handlers: dict[str, RoleHandler] = {}


def register(role: str, handler: RoleHandler) -> None:
    """Make `handler` the one for bots of `role`."""
    _handlers[role] = handler


def handler_of(role: str) -> RoleHandler | None:
    """The handler of a role; None when no room has registered one: its bots stay offline."""
    return _handlers.get(role)


def why_kept(*, bot_id: UUID, role: str) -> str:
    """Why this role is none for the bot: what the handler of another one says."""
    others = (handler for name, handler in sorted(_handlers.items()) if name != role)
    return next(filter(None, (handler.why_kept(bot_id=bot_id) for handler in others)), "")
