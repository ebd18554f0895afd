"""The event that reports a hit."""

from bots.chats.topics import topic_title
from parser.events import NewTargetMessage
from parser.models import Hit


def hit_event(hit: Hit) -> NewTargetMessage:
    return NewTargetMessage(
        id=hit.event_id,
        worker_id=str(hit.bot_id),
        campaign_id=str(hit.campaign_id),
        chat_id=hit.peer_id,
        username=hit.username,
        message=hit.text,
        telegram_user_id=hit.telegram_user_id,
        message_id=hit.message_id,
        chat_key=hit.chat.key,
        keyword=hit.keyword,
        said_at=hit.said_at,
        topic_id=hit.topic_id,
        topic=topic_title(chat_id=hit.chat_id, topic_id=hit.topic_id) if hit.topic_id else None,
    )
