"""Decides whether a message in a watched chat can be a hit, without looking for keywords. No database access."""

from telegram.types import IncomingMessage

_AUTHORS = {
    "bot": "A Bot API bot wrote it.",
    "deleted": "The account that wrote it is deleted.",
    "channel": "A channel is its author.",
    "anonymous_admin": "An anonymous admin wrote it.",
    "service": "Telegram itself wrote it.",
    "unknown": "Telegram does not show its author.",
}


def why_no_hit(message: IncomingMessage) -> str:
    """Why this message cannot be a hit; "" if it can."""
    author = message.author
    if message.outgoing:
        return "The account that reads the chat wrote it."
    if message.private or message.service or not message.text.strip():
        return "It is not a text message in a group or channel."
    if author.kind != "person":
        return _AUTHORS[author.kind]
    if message.from_user_id is None or message.from_user_id <= 0:
        return _AUTHORS["unknown"]
    if author.scam or author.fake:
        return "Telegram marks its author as scam or fake."
    if message.via_bot_id is not None:
        return "An inline bot wrote its text."
    return "It was forwarded: its sender did not write the text." if message.forwarded else ""
