"""From a message in a watched chat to hits and their events."""

from uuid import UUID

from django.db import transaction

from messaging.outbox import publish_on_commit
from parser.events import NewTargetMessage
from parser.matchers import matchers_of
from parser.models import Hit, WatchedChat
from parser.selectors import campaigns_watching, is_own_account
from telegram.types import IncomingMessage


@transaction.atomic
def message_match(*, bot_id: UUID, message: IncomingMessage) -> list[Hit]:
    """Record a hit for every campaign that looks for this message, each with its event; the new ones are returned.

    The team's own accounts, and whoever writes in the name of a chat or channel, are nobody's leads.
    """
    author = message.from_user_id
    if message.outgoing or message.private or author is None or author <= 0 or not message.text.strip():
        return []
    watches = campaigns_watching(bot_id=bot_id, telegram_id=message.peer_id)
    if not watches or is_own_account(telegram_user_id=author):
        return []
    matchers = matchers_of(campaign_ids=[watch.campaign_id for watch in watches])
    hits: list[Hit] = []
    for watch in watches:
        matcher = matchers.get(watch.campaign_id)
        keyword = matcher.match(message.text) if matcher else None
        if keyword is not None and (hit := _hit_record(watch, message, author, keyword)):
            hits.append(hit)
    publish_on_commit(*(_event(hit, message) for hit in hits))
    return hits


def _hit_record(watch: WatchedChat, message: IncomingMessage, author: int, keyword: str) -> Hit | None:
    """None when this message was a hit of the campaign before."""
    hit, created = Hit.objects.get_or_create(
        campaign_id=watch.campaign_id,
        bot_id=watch.bot_id,
        chat=watch.chat,
        message_id=message.message_id,
        defaults={
            "telegram_user_id": author,
            "username": message.from_username,
            "text": message.text,
            "keyword": keyword,
            "said_at": message.said_at,
        },
    )
    return hit if created else None


def _event(hit: Hit, message: IncomingMessage) -> NewTargetMessage:
    return NewTargetMessage(
        id=hit.event_id,
        worker_id=str(hit.bot_id),
        campaign_id=str(hit.campaign_id),
        chat_id=message.peer_id,
        username=hit.username,
        message=hit.text,
        telegram_user_id=hit.telegram_user_id,
        message_id=hit.message_id,
        chat_key=hit.chat.key,
        keyword=hit.keyword,
        said_at=hit.said_at,
    )
