"""The handler of bots with the role actor: when they must be connected, and in which chats."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from bots.roles import End
from campaigns.models import Chat
from scripts import selectors
from telegram.types import IncomingMessage, MessageNow

# An actor connects this long before its next line is due, so that it has joined the chat by then. It stays connected
# if its following line is due within the same time.
NEAR = timedelta(minutes=5)


class ActorHandler:
    """Actors send lines. They read neither the chats nor direct messages."""

    reads_chats = False
    reads_private = False

    def wanted(self, now: datetime) -> set[UUID]:
        return selectors.bots_wanted(now=now, near=NEAR)

    def chats(self, bot_id: UUID) -> list[Chat]:
        return selectors.chats_of_actor(bot_id=bot_id)

    def on_messages(self, *, messages: Mapping[UUID, Sequence[IncomingMessage]]) -> None:
        return

    def on_changes(self, *, bot_id: UUID, changes: Sequence[MessageNow]) -> list[MessageNow]:
        return []

    def received_since(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        return []

    def people_unrecorded(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        return []

    def chats_looked_after(self, *, bot_id: UUID, at_end: Collection[End]) -> Collection[End]:
        return ()

    def why_kept(self, bot_id: UUID) -> str:
        return ""
