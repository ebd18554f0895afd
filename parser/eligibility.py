"""Decides whether a message in a watched chat can be a hit, whatever its text. No database access."""

from telegram.types import IncomingMessage

_AUTHORS = {
    "bot": "A Bot API bot wrote it.",
    "deleted": "The account that wrote it is deleted.",
    "channel": "It was written in a channel's name.",
    "anonymous_admin": "An anonymous admin wrote it.",
    "service": "Telegram itself wrote it.",
    "unknown": "Telegram does not say who wrote it.",
}


def why_no_target(message: IncomingMessage) -> str:
    """Why the author of this message cannot become a lead; "" if the author can."""
    author = message.author
    if message.outgoing:
        return "The account that reads wrote it itself."
    if message.private or message.service or not message.text.strip():
        return "It is no text in a chat."
    if author.kind != "person":
        return _AUTHORS[author.kind]
    if message.from_user_id is None or message.from_user_id <= 0:
        return _AUTHORS["unknown"]
    if author.scam or author.fake:
        return "Telegram warns of its author."
    if message.via_bot_id is not None:
        return "An inline bot made its text."
    return "It was forwarded: the words are somebody else's." if message.forwarded else ""
