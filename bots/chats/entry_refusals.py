"""Sentences for operators: why a bot cannot join a chat and what to do."""

from uuid import UUID

from campaigns.models import Chat
from campaigns.wording import chat_phrase
from telegram.errors import NOT_INSIDE, BotFull

# Telegram's reason: the chat's admins were asked. The adapter's reason: only a member can add the account to the chat.
ASKED, MUST_BE_ADDED = "INVITE_REQUEST_SENT", "MUST_BE_ADDED"
# The bot can do nothing but wait until a person admits or adds it; Telegram sends an update then.
WAITS_FOR_PEOPLE = frozenset({ASKED, MUST_BE_ADDED})

_WHAT_TO_DO = {
    ASKED: "has asked to join {chat}: ask an admin of the chat to admit the account",
    MUST_BE_ADDED: "is not in the basic group {chat}, which no account can join by its id: add the account to the "
    "group in Telegram, or enter an invite link as the chat's reference",
    "NOT_A_GROUP": "cannot join {chat} ({reason}): the reference leads to a person or a bot. Correct the reference",
    "MEMBERSHIP_UNKNOWN": "was in {chat}, and Telegram does not report whether it still is: check the chat in Telegram",
    "INVITE_HASH_EXPIRED": "cannot join {chat} ({reason}): the invite link has expired. Ask the owner for a new link",
    "USERS_TOO_MUCH": "cannot join {chat} ({reason}): the chat has as many members as Telegram allows",
}


def entry_refusal(*, bot_id: UUID, chat: Chat, reason: str) -> str:
    """Why the bot cannot join the chat. `reason` is Telegram's or the adapter's name of the error."""
    sentence = _WHAT_TO_DO.get(reason, "cannot join {chat}: {reason}")
    return f"account {bot_id} {sentence.format(chat=chat_phrase(chat), reason=reason)}"


_CHECK = {
    NOT_INSIDE: "no account in the chat can be connected, and account {bot} cannot see where {reference} leads without "
    "joining: add the account to the chat in Telegram; the account then confirms the reference",
    "INVITE_HASH_EXPIRED": "the link {reference} has expired or was never valid: ask the owner for a new link",
    "USERNAME_NOT_OCCUPIED": "no chat has the username {reference}: correct the reference",
    "REFERENCE_NOT_UNDERSTOOD": "{reference} is neither a @name nor an invite link nor an id: correct the reference",
    "NOT_A_GROUP": "{reference} leads to a person, a bot or a channel: correct the reference",
}


def confirmation_refusal(*, bot: str, chat: Chat, reason: str) -> str:
    """Why the account named `bot` cannot confirm the chat's changed reference."""
    sentence = _CHECK.get(reason, "account {bot} cannot see where {reference} leads: {reason}")
    problem = sentence.format(bot=bot, reference=chat.reference, reason=reason)
    return f"the changed reference of {chat_phrase(chat)} is not confirmed: {problem}"


def entry_incident(*, bot_id: UUID, chat_id: UUID) -> str:
    """The key of the incident that is open while the bot cannot enter the chat."""
    return f"chat:{bot_id}:{chat_id}"


def full_incident(bot_id: UUID) -> str:
    """The key of the incident that is open while the account is in as many chats as Telegram allows."""
    return f"full:{bot_id}"


def full_report(bot_id: UUID, error: BotFull) -> str:
    return (
        f"account {bot_id} is in as many chats as Telegram allows ({error.reason}) and can join no more: "
        "leave some of its chats in Telegram's app"
    )
