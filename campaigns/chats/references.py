"""Changes a chat's reference for an operator, and records that an account has confirmed it.

If the chat's id is known, an account must confirm where a new reference leads. Until then
`Chat.reference_changed_at` is set, and no permission of the chat is in force.
"""

import re
from datetime import datetime
from uuid import UUID

from django.db import transaction

from campaigns.models import Chat
from campaigns.policy import notices
from messaging.database.clock import database_clock
from panelkit.errors import NotPossible

_NUMBER = re.compile(r"-?\d+", re.ASCII)
_SHAPE = re.compile(r"@[A-Za-z]\w{3,31}|(https?://)?t\.me/(\+|joinchat/)[\w-]+|-[1-9]\d*", re.ASCII)


def shape_problem(reference: str) -> str:
    """Why no account could follow the reference; empty if an account can try."""
    if _SHAPE.fullmatch(reference):
        return ""
    return "is not a reference to a chat: enter @username, an invite link (https://t.me/+…), or the marked id"


def reference_problem(*, chat_id: UUID, reference: str) -> str:
    """Why this cannot be the chat's reference; empty if it can.

    Locks the chat until the transaction ends, so that the result stays true.
    """
    return _problem(Chat.objects.select_for_update().get(id=chat_id), reference)


@transaction.atomic
def reference_change(*, chat_id: UUID, reference: str) -> Chat:
    """Change the chat's reference. Raises NotPossible if it is malformed or the id of another chat."""
    chat = Chat.objects.select_for_update().get(id=chat_id)
    if reference == chat.reference:
        return chat
    if problem := _problem(chat, reference):
        raise NotPossible(problem)
    chat.reference = reference
    return _to_be_confirmed(chat)


@transaction.atomic
def reference_check_again(*, chat_id: UUID) -> Chat:
    """Let an account check the reference again, after an operator has made sure that it leads to this chat again."""
    chat = Chat.objects.select_for_update().get(id=chat_id)
    return chat if chat.reference_leads_to is None else _to_be_confirmed(chat)


@transaction.atomic
def reference_confirmed(*, chat_id: UUID, reference: str, changed_at: datetime) -> bool:
    """Record that an account has confirmed that the reference leads to this chat.

    `changed_at` is `Chat.reference_changed_at` from before the call to Telegram. Returns False, and changes nothing, if
    another account has confirmed the reference before, or if it was changed again meanwhile.
    """
    Chat.objects.select_for_update().get(id=chat_id)
    unchanged = Chat.objects.filter(id=chat_id, reference=reference, reference_changed_at=changed_at)
    confirmed = bool(unchanged.update(reference_changed_at=None))
    if confirmed:
        notices.rules_changed()
    return confirmed


def _to_be_confirmed(chat: Chat) -> Chat:
    certain = chat.telegram_id is None or _number_in(chat.reference) in chat.telegram_ids
    chat.reference_leads_to = None
    chat.reference_changed_at = None if certain else database_clock()
    chat.save(update_fields=["reference", "reference_leads_to", "reference_changed_at"])
    notices.rules_changed()
    return chat


def _problem(chat: Chat, reference: str) -> str:
    if problem := shape_problem(reference):
        return f"{reference} {problem}."
    number = _number_in(reference)
    if chat.telegram_id is None or number is None or number in chat.telegram_ids:
        return ""
    return (
        f"{reference} is the id of another chat: this chat has the id {chat.telegram_id}. Add a new chat with the "
        "other id instead. A group that was upgraded needs no new reference: the accounts find the supergroup by "
        "themselves."
    )


def _number_in(reference: str) -> int | None:
    text = reference.strip()
    return int(text) if _NUMBER.fullmatch(text) else None
