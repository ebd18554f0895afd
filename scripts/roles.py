"""When an actor has to be connected, and of which chats it must be a member."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from campaigns.models import Chat
from scripts import selectors
from telegram.types import IncomingMessage, MessageNow

# An actor connects this long before its next line, so that it has joined the chat when the line is due,
# and stays connected when its next line is not further away than this.
NEAR = timedelta(minutes=5)


class ActorHandler:
    """Actors speak; they read neither the chats nor what people write to them."""

    reads_chats = False
    reads_private = False

    def wanted(self, now: datetime) -> set[UUID]:
        return selectors.bots_on_stage(now=now, near=NEAR)

    def chats(self, bot_id: UUID) -> list[Chat]:
        return selectors.chats_of_actor(bot_id=bot_id)

    def on_message(self, *, bot_id: UUID, message: IncomingMessage) -> None:
        return

    def on_changes(self, *, bot_id: UUID, changes: Sequence[MessageNow]) -> list[MessageNow]:
        return []

    def heard_since(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        return []

    def people_unrecorded(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        return []

    def why_kept(self, bot_id: UUID) -> str:
        return ""
