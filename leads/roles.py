"""What a bot of the role manager does: it talks with leads in private."""

from datetime import datetime
from uuid import UUID

from bots import roles
from bots.models import Role
from campaigns.models import Chat
from leads.selectors import bots_wanted, chats_of
from leads.services.recording import message_record
from telegram.types import IncomingMessage


class ManagerHandler:
    reads_chats = False
    reads_private = True

    def wanted(self, now: datetime) -> set[UUID]:
        return bots_wanted()

    def chats(self, bot_id: UUID) -> list[Chat]:
        return chats_of(bot_id=bot_id)

    def on_message(self, *, bot_id: UUID, message: IncomingMessage) -> None:
        message_record(bot_id=bot_id, message=message)


roles.register(Role.MANAGER, ManagerHandler())
