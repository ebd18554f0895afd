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
    ASKED: "has asked to join {chat}: an admin of it has to let the bot in",
    MUST_BE_ADDED: "is not in the basic group {chat}, which nobody can enter by its id: add the account to the group "
    "in Telegram, or enter an invite link as the chat's reference",
    "NOT_A_GROUP": "cannot enter {chat} ({reason}): it leads to a person or a bot. Correct the reference",
    "MEMBERSHIP_UNKNOWN": "was in {chat}, and Telegram does not say whether it still is: look in Telegram",
    "INVITE_HASH_EXPIRED": "cannot enter {chat} ({reason}): the link has expired. Ask the owner for a new one",
    "USERS_TOO_MUCH": "cannot enter {chat} ({reason}): it has as many members as Telegram allows",
}


def entry_refusal(*, bot_id: UUID, chat: Chat, reason: str) -> str:
    """Why the bot cannot join the chat. `reason` is Telegram's or the adapter's name of the error."""
    sentence = _WHAT_TO_DO.get(reason, "cannot enter {chat}: {reason}")
    return f"bot {bot_id} {sentence.format(chat=chat_phrase(chat), reason=reason)}"


_CHECK = {
    NOT_INSIDE: "no account that can be connected is in the chat, and bot {bot} does not see where {reference} leads "
    "without joining: add the account to the chat in Telegram, and it confirms the reference by itself",
    "INVITE_HASH_EXPIRED": "the link {reference} has expired or was never one: ask the owner for a new one",
    "USERNAME_NOT_OCCUPIED": "nobody bears the name {reference}: correct the reference",
    "REFERENCE_NOT_UNDERSTOOD": "{reference} is no @name, no invite link and no number: correct the reference",
    "NOT_A_GROUP": "{reference} leads to a person, a bot or a channel: correct the reference",
}


def confirmation_refusal(*, bot: str, chat: Chat, reason: str) -> str:
    """Why bot `bot` cannot confirm the chat's changed reference."""
    sentence = _CHECK.get(reason, "bot {bot} cannot see where {reference} leads: {reason}")
    told = sentence.format(bot=bot, reference=chat.reference, reason=reason)
    return f"{chat_phrase(chat)} waits since its reference was changed: {told}"


def entry_incident(*, bot_id: UUID, chat_id: UUID) -> str:
    """The key of the incident that is open while the bot cannot enter the chat."""
    return f"chat:{bot_id}:{chat_id}"


def full_incident(bot_id: UUID) -> str:
    """The key of the incident that is open while the account is in as many chats as Telegram allows."""
    return f"full:{bot_id}"


def full_report(bot_id: UUID, error: BotFull) -> str:
    return (
        f"bot {bot_id} is in as many chats as Telegram allows ({error.reason}) and joins no other one: "
        "leave some of them in Telegram's app"
    )
