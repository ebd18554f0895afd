"""The handler of bots with the role parser, which read the chats of their campaigns."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from bots.roles import End
from campaigns.models import Chat
from parser.edits import edits_match
from parser.hit_changes import hits_changed
from parser.memory import memory_prepare
from parser.selectors import bots_wanted
from parser.services import messages_match
from parser.watching.joining import chats_of
from parser.watching.moves import moves_advance
from telegram.types import IncomingMessage, MessageNow


class ParserHandler:
    reads_chats = True
    reads_private = False

    def wanted(self, now: datetime) -> set[UUID]:
        return bots_wanted()

    def chats(self, bot_id: UUID) -> list[Chat]:
        memory_prepare()
        return chats_of(bot_id=bot_id)

    def on_messages(self, *, messages: Mapping[UUID, Sequence[IncomingMessage]]) -> None:
        messages_match(messages=messages)

    def on_changes(self, *, bot_id: UUID, changes: Sequence[MessageNow]) -> list[MessageNow]:
        # An edit of one campaign's hit may be a hit of another campaign.
        others = hits_changed(bot_id=bot_id, changes=changes)
        unread = edits_match(bot_id=bot_id, changes=changes)
        return [change for change in others if change in unread]

    def received_since(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        return []

    def people_unrecorded(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        return []

    def chats_looked_after(self, *, bot_id: UUID, at_end: Collection[End]) -> Collection[End]:
        return moves_advance(bot_id=bot_id, at_end=at_end)

    def why_kept(self, bot_id: UUID) -> str:
        return ""
