"""The titles of forums' topics, as accounts see them."""

from collections.abc import Mapping
from uuid import UUID

from django.db.models.functions import Now

from bots.models import ForumTopic
from campaigns.models import Chat
from campaigns.selectors import at_telegram
from telegram.types import GENERAL_TOPIC

_TITLE_LENGTH = 200


def topics_store(*, peer_id: int, titles: Mapping[int, str]) -> None:
    """Store the titles of topics of the forum with this marked id. Topics that are missing here are kept."""
    chat_id = Chat.objects.filter(at_telegram([peer_id])).values_list("pk", flat=True).first()
    if chat_id is None:
        return
    rows = [
        ForumTopic(chat_id=chat_id, topic_id=topic_id, title=title[:_TITLE_LENGTH], updated_at=Now())
        for topic_id, title in sorted(titles.items())
    ]
    ForumTopic.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["chat", "topic_id"], update_fields=["title", "updated_at"]
    )


def topic_name(*, chat_id: UUID, topic_id: int) -> str:
    """The topic's title with its id; without a title if no account has seen it."""
    title = topic_title(chat_id=chat_id, topic_id=topic_id)
    return f"{title} ({topic_id})" if title else str(topic_id)


def topic_title(*, chat_id: UUID, topic_id: int) -> str | None:
    """The topic's title; None if no account has seen it."""
    return ForumTopic.objects.filter(chat_id=chat_id, topic_id=topic_id).values_list("title", flat=True).first()


def topics_known(*, chat_id: UUID) -> str:
    """The titles and ids of the forum's topics, for operators."""
    known = dict(ForumTopic.objects.filter(chat_id=chat_id).order_by("title").values_list("topic_id", "title"))
    names = {GENERAL_TOPIC: "General", **known} if known else {}
    return ", ".join(f"{title} ({topic_id})" for topic_id, title in names.items())
