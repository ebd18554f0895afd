"""Phrases for sentences about chats: a chat's name, and why its reference is in doubt."""

from datetime import UTC, datetime

from campaigns.models import UNSEEN_CHAT, Chat
from campaigns.selectors import at_telegram

# Longest name of a chat within a sentence, in characters.
_LONGEST_NAME = 60


def doubt_of(chat: Chat) -> str:
    """Why it is unclear which chat the permissions are for, and what the operator should do; empty if it is clear."""
    if chat.reference_leads_to is None:
        return ""
    return (
        f"{chat.reference} leads to {other_chat_phrase(chat.reference_leads_to)}, not to the chat whose owner gave the "
        f"permission: correct the reference of {chat_phrase(chat)}, or add the other chat"
    )


def other_chat_phrase(leads_to: int, *, title: str = "") -> str:
    """A phrase for the other chat to which a reference leads: with Telegram's `title`, or else the name on record.

    `leads_to` is a value of `Chat.reference_leads_to`.
    """
    known = Chat.objects.filter(at_telegram([leads_to])).first() if not title else None
    name = title_phrase(title) if title else chat_phrase(known) if known is not None else ""
    unseen = "(id unknown)" if leads_to == UNSEEN_CHAT else ""
    return " ".join(filter(None, ["another chat", name, unseen]))


def chat_phrase(chat: Chat) -> str:
    """A chat's name within a sentence, shortened: a long title would cut off the end of the sentence in its column."""
    return title_phrase(str(chat))


def title_phrase(name: str) -> str:
    return f"“{name}”" if len(name) <= _LONGEST_NAME else f"“{name[: _LONGEST_NAME - 1]}…”"


def reference_unconfirmed(changed_at: datetime) -> str:
    """Why a chat's permissions are not in force: no account has confirmed its reference since `changed_at`."""
    at = minute(changed_at)
    return f"no account has confirmed yet that the reference, changed at {at}, leads to the same chat"


def minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
