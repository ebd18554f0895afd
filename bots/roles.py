"""The registry of role handlers, through which the rooms above use the bots of a role.

Each room registers its handler once, when its app is ready.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from campaigns.models import Chat
from telegram.types import IncomingMessage, MessageNow, OlderMessages

# A chat (marked id), and a time.
End = tuple[int, datetime]


class RoleHandler(Protocol):
    """The interface of the room that uses the bots of a role. Methods are called in threads and may use the ORM."""

    # Whether to record messages of the chats that `chats` returns, and messages of direct chats.
    reads_chats: bool
    reads_private: bool

    def wanted(self, now: datetime) -> set[UUID]:
        """The bots of this role that should be connected at `now`. Called every few seconds, so make only one query."""

    def chats(self, bot_id: UUID) -> list[Chat]:
        """The chats that the bot must be a member of now.

        Include chats whose changed reference an account has to confirm (`reference_changed_at`). The bot joins and
        reads these only after the confirmation.
        """

    def on_messages(self, *, messages: Mapping[UUID, Sequence[IncomingMessage]]) -> None:
        """Record the messages of one bot or several, in the transaction that moves the cursors.

        Messages of one chat are in order. The method is called once for each message. Must not use the network. After
        an exception the transaction is rolled back, and the messages come again in smaller batches, in the end one by
        one. A message on which the method fails three times alone is skipped.
        """

    def on_changes(self, *, bot_id: UUID, changes: Sequence[MessageNow]) -> list[MessageNow]:
        """Record edits and deletions of messages that other people wrote, in the order in which they happened.

        Returns the changes of messages that this room does not know, even if the new text was a "stop".
        A handler with `reads_chats` gets all changes; one with `reads_private` gets those in direct chats and basic
        groups (without `peer_id`). Must not use the network. May be called again with the same changes.
        """

    def received_since(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        """The Telegram ids of direct messages that others wrote after `since` and that are not deleted.

        Returns the newest `most` of them.
        """

    def people_unrecorded(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        """People whose direct chats with the bot had messages after `since`, none of which this room has recorded.

        The bot checks these chats for changes. Returns the Telegram ids of the latest `most` people. Called only for
        handlers with `reads_private`.
        """

    def chats_looked_after(self, *, bot_id: UUID, at_end: Collection[End]) -> Collection[End]:
        """Called whenever the bot has entered its chats, as far as possible, and every few seconds. May write.

        Returns the chats that the bot has to read to the end, each with a time that distinguishes this wish from
        others about the same chat. `at_end` are those of the last call that the bot has read to the end since then.
        """

    def why_kept(self, bot_id: UUID) -> str:
        """Why the bot must keep this role, and what the operator can do instead; empty if the role may change.

        Called in a transaction. Lock what the answer depends on, so that it stays true until the transaction ends.
        """


@dataclass(frozen=True)
class PastPage:
    """A page of a chat's history that a room wants to see again: the messages below `before_id` (0: the newest)."""

    purpose: UUID
    chat_id: UUID
    peer_id: int
    before_id: int


class PastReader(Protocol):
    """The room that has older messages read again, without recording them. Methods are called in threads."""

    def next_page(self, *, bot_id: UUID) -> PastPage | None:
        """The page that the bot is to read next, or None. Called every few seconds while the bot has nothing to do."""

    def page_read(self, *, bot_id: UUID, page: PastPage, found: OlderMessages) -> None:
        """Look at the messages of a page. May be called again with the same page."""

    def page_refused(self, *, bot_id: UUID, page: PastPage, reason: str) -> None:
        """Telegram refuses the chat's history."""


_handlers: dict[str, RoleHandler] = {}
_past_readers: list[PastReader] = []


def register(role: str, handler: RoleHandler) -> None:
    """Register the handler of a role, which replaces an earlier one."""
    _handlers[role] = handler


def handler_of(role: str) -> RoleHandler | None:
    """The handler of a role. None if no room has registered one; bots of that role stay offline."""
    return _handlers.get(role)


def register_past_reader(reader: PastReader) -> None:
    """Register the room that has older messages read; it replaces an earlier one."""
    _past_readers[:] = [reader]


def past_reader() -> PastReader | None:
    return _past_readers[0] if _past_readers else None


def why_kept(*, bot_id: UUID, role: str) -> str:
    """Why the bot cannot get `role`: the reason of another role's handler that needs the bot; empty if it can."""
    others = (handler for name, handler in sorted(_handlers.items()) if name != role)
    return next(filter(None, (handler.why_kept(bot_id=bot_id) for handler in others)), "")
