"""The topics of a forum (https://core.telegram.org/api/forum)."""

from typing import Any

from telethon import TelegramClient
from telethon.tl import functions, types

from telegram.calls import call

# Topics in one request, and how many of the topics with the newest messages are read at most.
PAGE, MOST = 100, 500


async def list_topics(client: TelegramClient, peer: Any) -> dict[int, str]:
    """The titles of the forum's topics by id, at most MOST of them: those with the newest messages."""
    found: dict[int, str] = {}
    offset: tuple[Any, int, int] = (None, 0, 0)
    while len(found) < MOST:
        date, message_id, topic_id = offset
        request = functions.messages.GetForumTopicsRequest(
            peer, offset_date=date, offset_id=message_id, offset_topic=topic_id, limit=PAGE
        )
        answer = await call(client, request)
        page = [topic for topic in answer.topics if isinstance(topic, types.ForumTopic)]
        new = {topic.id: topic.title for topic in page if topic.id not in found}
        found |= new
        if not new or len(found) >= answer.count:
            break
        last = page[-1]
        dates = {message.id: getattr(message, "date", None) for message in answer.messages}
        offset = (dates.get(last.top_message), last.top_message, last.id)
    return found
