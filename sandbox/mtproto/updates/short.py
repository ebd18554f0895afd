"""Short updates, for plain texts from users that the receiver knows.

They contain only ids, and do not describe the author or the chat
(https://core.telegram.org/constructor/updateShortMessage).
"""

from typing import Any

from telethon.tl import types

from sandbox.world.boxes import Box, Event, Message
from sandbox.world.entities import CHANNEL_MARK
from sandbox.world.marks import PLAIN

SHORT = (types.UpdateShortMessage, types.UpdateShortChatMessage)


def short_update(box_id: int, box: Box, event: Event) -> Any | None:
    """The short update for an event; None if Telegram would send the whole message.

    It does so for changes, in supergroups, and when the author writes to this account for the first time.
    """
    message = box.messages.get(event.message_ids[0])
    if box_id < 0 or event.kind != "message" or message is None or not _plain(message) or not _met(box, message):
        return None
    facts = {
        "id": message.id,
        "message": message.text,
        "pts": event.pts,
        "pts_count": event.pts_count,
        "date": int(message.at),
        "out": message.from_user == box_id,
        "reply_to": types.MessageReplyHeader(reply_to_msg_id=message.reply_to) if message.reply_to else None,
    }
    if message.peer > 0:
        return types.UpdateShortMessage(user_id=message.peer, **facts)
    return types.UpdateShortChatMessage(from_id=message.from_user, chat_id=-message.peer, **facts)


def _plain(message: Message) -> bool:
    return message.action is None and message.marks == PLAIN and message.peer > -CHANNEL_MARK


def _met(box: Box, message: Message) -> bool:
    earlier = (box.messages[number] for number in box.history(message.peer) if number < message.id)
    return any(before.from_user == message.from_user for before in earlier)
