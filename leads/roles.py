"""The role of the manager bots, which exchange direct messages with leads."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from bots.roles import End
from campaigns.models import Chat
from leads.locks import managers_lock
from leads.models import Conversation
from leads.selectors import bots_wanted, chats_of, leads_unrecorded, received_since
from leads.services.incoming import message_record, messages_changed
from telegram.types import IncomingMessage, MessageNow

RECEIVES_STOPS = (
    "This account has conversations with leads. It receives the leads' answers, including every “stop”, only as a "
    "manager. Keep the account's role, and connect another account for the other role."
)


class ManagerHandler:
    reads_chats = False
    reads_private = True

    def wanted(self, now: datetime) -> set[UUID]:
        return bots_wanted()

    def chats(self, bot_id: UUID) -> list[Chat]:
        return chats_of(bot_id=bot_id)

    def on_messages(self, *, messages: Mapping[UUID, Sequence[IncomingMessage]]) -> None:
        for bot_id, received in messages.items():
            for message in received:
                message_record(bot_id=bot_id, message=message)

    def on_changes(self, *, bot_id: UUID, changes: Sequence[MessageNow]) -> list[MessageNow]:
        return messages_changed(bot_id=bot_id, changes=changes)

    def received_since(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        return received_since(bot_id=bot_id, since=since, most=most)

    def people_unrecorded(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        return leads_unrecorded(bot_id=bot_id, since=since, most=most)

    def chats_looked_after(self, *, bot_id: UUID, at_end: Collection[End]) -> Collection[End]:
        return ()

    def why_kept(self, bot_id: UUID) -> str:
        managers_lock([bot_id])
        return RECEIVES_STOPS if Conversation.objects.filter(bot_id=bot_id).exists() else ""
