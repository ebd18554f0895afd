"""Records which Telegram chat a row stands for.

Once the marked id is known, it is the chat's identity. A reference (an @username, a link) only leads to the chat, and
may later lead to another chat, whose owner has given no permission. A basic group that was upgraded to a supergroup has
a new id but is the same chat: both ids are on record.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from campaigns.models import Chat
from campaigns.permissions.services import permissions_suspend
from campaigns.policy import notices
from campaigns.selectors import chats_at
from campaigns.wording import chat_phrase, other_chat_phrase
from panelkit.errors import NotPossible

# The length of a slug, in characters, without the number that makes it unique.
_KEY_MOST = 45


class SameChat(NotPossible):
    """Two rows stand for the same Telegram chat. The text names both and explains what to do."""


class AnotherChat(NotPossible):
    """The row stands for another chat than the one that the account found."""


@transaction.atomic
def chat_identify(
    *,
    chat_id: UUID,
    telegram_id: int,
    kind: Chat.Kind,
    title: str = "",
    upgraded_from: int | None = None,
    reference: str | None = None,
) -> Chat:
    """Record the chat's marked id, which an account has seen, or that the basic group `upgraded_from` has become it.

    Sets the id of a chat without one, and the new id of an upgraded group; an account that still sees the former id
    changes nothing. `reference` is the reference that the account followed. Raises SameChat if another row stands for
    this chat. Raises AnotherChat if this row stands for another chat (see `reference_strayed`), or if it has no id and
    its reference is no longer `reference`.
    """
    chat = Chat.objects.select_for_update().get(id=chat_id)
    if telegram_id == chat.upgraded_from_id:
        return chat
    if chat.telegram_id is None and reference not in (None, chat.reference):
        raise AnotherChat(
            f"the reference of {chat_phrase(chat)} was changed to {chat.reference} while an account looked up "
            f"{reference}"
        )
    _check_free(chat, telegram_id, upgraded_from)
    if not chat.title and title:
        Chat.objects.filter(id=chat.id).update(title=title[:200])
    if chat.telegram_id == telegram_id:
        facts: dict[str, Any] = {"kind": kind}
    elif chat.telegram_id is None and upgraded_from is None:
        facts = {"kind": kind, "telegram_id": telegram_id}
    elif chat.telegram_id in (None, upgraded_from):
        facts = {"kind": kind, "telegram_id": telegram_id, "upgraded_from_id": upgraded_from, "upgraded_at": Now()}
    else:
        raise AnotherChat(f"{chat.reference} led to another chat, not to {chat_phrase(chat)}")
    try:
        with transaction.atomic():
            Chat.objects.filter(id=chat.id).exclude(telegram_id=telegram_id, kind=kind).update(**facts)
    except IntegrityError:
        # Another transaction has just given the id to another row.
        _check_free(chat, telegram_id, upgraded_from)
        raise
    chat.refresh_from_db()
    return chat


def _check_free(chat: Chat, telegram_id: int, upgraded_from: int | None) -> None:
    """Raises SameChat if another row has one of the ids, as its current or its former one."""
    ids = {telegram_id} | ({upgraded_from} if upgraded_from is not None else set())
    taken = {pk for pk in chats_at(ids).values() if pk != chat.id}
    other = Chat.objects.filter(id__in=taken).first()
    if other is not None:
        title = f" ({chat_phrase(other)})" if other.title else ""
        raise SameChat(
            f"{chat.reference} and {other.reference}{title} lead to the same Telegram chat: use "
            f"{other.reference}, and for {chat.reference} correct the reference or revoke the permissions"
        )


@transaction.atomic
def reference_strayed(
    *, chat_id: UUID, leads_to: int, reference: str, changed_at: datetime | None = None
) -> Chat | None:
    """Record that the chat's reference leads to another chat, and suspend the chat's permissions.

    `leads_to` is the other chat's marked id, or UNSEEN_CHAT if no account sees its id. An operator then has to correct
    the reference or to add the other chat as a new row. A second call changes nothing.

    `reference` and `changed_at` are `Chat.reference` and `Chat.reference_changed_at` from before the call to Telegram.
    Returns None, and changes nothing, if the row has other values now.
    """
    chat = Chat.objects.select_for_update().get(id=chat_id)
    if (chat.reference, chat.reference_changed_at) != (reference, changed_at):
        return None
    chat.reference_leads_to, chat.reference_changed_at = leads_to, None
    chat.save(update_fields=["reference_leads_to", "reference_changed_at"])
    # The reason stays on the permission until the permission is resumed, so it must be true after the correction too.
    reason = (
        f"{chat.reference} led to {other_chat_phrase(leads_to)}, not to {chat_phrase(chat)}. Once the reference is "
        "corrected, ask the chat's owner, then resume the permission"
    )
    permissions_suspend(chat_id=chat_id, reason=reason)
    return chat


@transaction.atomic
def reference_to_new_chat(*, chat_id: UUID) -> Chat:
    """Add a row, without any permission, for the chat to which the reference leads now.

    The old row gets its marked id as its reference. Raises NotPossible if the reference leads to no other chat, or to
    a chat that is on record.
    """
    old = Chat.objects.select_for_update().get(id=chat_id)
    if old.reference_leads_to is None or old.telegram_id is None:
        raise NotPossible(f"{old.reference} led to no other chat at the last check.")
    known = Chat.objects.filter(id__in=chats_at({old.reference_leads_to}).values()).first()
    if known is not None:
        raise NotPossible(
            f"{old.reference} leads to {chat_phrase(known)}, which you have already added. Change the reference of "
            f"{chat_phrase(old)} to {old.telegram_id}, which always leads to it."
        )
    reference = old.reference
    Chat.objects.filter(id=old.id).update(reference=str(old.telegram_id), reference_leads_to=None)
    new = Chat.objects.create(key=_free_key(old.key), reference=reference)
    notices.rules_changed()
    return new


def _free_key(key: str) -> str:
    taken = set(Chat.objects.filter(key__startswith=key[:_KEY_MOST]).values_list("key", flat=True))
    return next(name for number in range(2, len(taken) + 3) if (name := f"{key[:_KEY_MOST]}-{number}") not in taken)
