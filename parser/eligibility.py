"""Decides whether a message in a watched chat can be a hit, without looking for keywords. No database access."""

from collections.abc import Collection

from django.db.models import TextChoices

from telegram.types import GENERAL_TOPIC, IncomingMessage


class ReadOutcome(TextChoices):
    """What became of a message that was read. Only a message that was compared with keywords can be a hit."""

    COMPARED = "compared", "It was compared with the keywords."
    OWN = "own", "The account that reads the chat wrote it."
    NO_TEXT = "no_text", "It is not a text message in a group or channel."
    BOT = "bot", "A Bot API bot wrote it."
    DELETED = "deleted", "The account that wrote it is deleted."
    CHANNEL = "channel", "A channel is its author."
    ANONYMOUS_ADMIN = "anonymous_admin", "An anonymous admin wrote it."
    SERVICE = "service", "Telegram itself wrote it."
    UNKNOWN = "unknown", "Telegram does not show its author."
    SCAM = "scam", "Telegram marks its author as scam or fake."
    INLINE_BOT = "inline_bot", "An inline bot wrote its text."
    NO_COMMENT = "no_comment", "It is in a channel's discussion group, and is no comment on a post that was read."
    TOPIC = "topic", "It is in a topic that is left out."
    FORWARDED = "forwarded", "It was forwarded: its sender did not write the text."


class TopicsRule(TextChoices):
    """Which topics of a forum are read."""

    ALL = "all", "All topics"
    ONLY = "only", "Only the listed topics"
    EXCEPT = "except", "All but the listed topics"


def topic_taken(rule: TopicsRule, topics: Collection[int], topic_id: int | None) -> bool:
    """Whether messages in the topic are read; None is the topic General, or a chat without topics."""
    if rule == TopicsRule.ALL:
        return True
    return ((topic_id or GENERAL_TOPIC) in topics) == (rule == TopicsRule.ONLY)


_AUTHORS = {
    "bot": ReadOutcome.BOT,
    "deleted": ReadOutcome.DELETED,
    "channel": ReadOutcome.CHANNEL,
    "anonymous_admin": ReadOutcome.ANONYMOUS_ADMIN,
    "service": ReadOutcome.SERVICE,
    "unknown": ReadOutcome.UNKNOWN,
}


def outcome_of(message: IncomingMessage) -> ReadOutcome:
    """COMPARED if this message can be a hit, otherwise why it cannot."""
    author = message.author
    if message.outgoing:
        return ReadOutcome.OWN
    if message.private or message.service or not message.text.strip():
        return ReadOutcome.NO_TEXT
    if author.kind != "person":
        return _AUTHORS[author.kind]
    if message.from_user_id is None or message.from_user_id <= 0:
        return ReadOutcome.UNKNOWN
    if author.scam or author.fake:
        return ReadOutcome.SCAM
    if message.via_bot_id is not None:
        return ReadOutcome.INLINE_BOT
    return ReadOutcome.FORWARDED if message.forwarded else ReadOutcome.COMPARED


def why_no_hit(message: IncomingMessage) -> str:
    """Why this message cannot be a hit; "" if it can."""
    outcome = outcome_of(message)
    return "" if outcome == ReadOutcome.COMPARED else str(outcome.label)
