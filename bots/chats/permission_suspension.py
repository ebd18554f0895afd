"""Suspends a permission when Telegram's answers put it in doubt, until an operator has asked the chat's owner.

An account that was removed from a chat does not join it again by itself, and its messages to that chat wait.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db import transaction

from bots.accounts.incidents import incident_close, incident_report
from bots.models import Bot, Incident, Presence
from campaigns.models import Chat, ChatPermission
from campaigns.permissions.services import permissions_suspend
from campaigns.wording import chat_phrase
from telegram.errors import ChatRefuses

# The prefix of the incidents' keys; the ids of the chat and the bot follow.
_PERMISSION = "permission:"


def presence_record(*, bot_id: UUID, chat_id: UUID, peer_id: int) -> None:
    """Record that the account is in the chat, and close the incident about its removal."""
    key: dict[str, Any] = {"bot_id": bot_id, "chat_id": chat_id}
    if Presence.objects.filter(**key, peer_id=peer_id).exists():
        return
    Presence.objects.update_or_create(**key, defaults={"peer_id": peer_id})
    incident_close(key=_incident(chat_id, bot_id))


def was_present(*, bot_id: UUID, chat_id: UUID, peer_ids: Collection[int]) -> bool:
    """Whether the account was in the chat when it last checked."""
    return Presence.objects.filter(bot_id=bot_id, chat_id=chat_id, peer_id__in=peer_ids).exists()


@transaction.atomic
def presence_ended(*, bot_id: UUID, chat_id: UUID, peer_ids: Collection[int]) -> bool:
    """Record that the account is not in the chat. Returns whether it was in the chat before.

    If so, it was removed, or left by hand, and all permissions of the chat are suspended. Once an operator has resumed
    one, the account may join again.
    """
    gone, _ = Presence.objects.filter(bot_id=bot_id, chat_id=chat_id, peer_id__in=peer_ids).delete()
    if gone:
        _suspend(bot_id, chat_id, "is not in the chat any more", purpose=None)
    return bool(gone)


def writing_refused(*, bot_id: UUID, chat_id: UUID, error: ChatRefuses) -> None:
    """Suspend permissions after Telegram has refused a message in the chat.

    If the account was removed, all permissions of the chat are suspended; if it may not write any more, only the one
    for scripts. Other refusals change nothing: the owner did not cause them.
    """
    if error.says == "removed":
        with transaction.atomic():
            Presence.objects.filter(bot_id=bot_id, chat_id=chat_id).delete()
            _suspend(bot_id, chat_id, f"was removed from the chat ({error.reason})", purpose=None)
    elif error.says == "silenced":
        what = f"may not write in the chat any more ({error.reason})"
        _suspend(bot_id, chat_id, what, purpose=ChatPermission.Grant.SCRIPT)


def suspension_incidents_close() -> None:
    """Close the incidents about permissions that an operator has resumed or revoked."""
    suspended = ChatPermission.objects.filter(suspended_at__isnull=False, revoked_at=None)
    still = {str(chat_id) for chat_id in suspended.values_list("chat_id", flat=True).distinct()}
    for key in Incident.objects.filter(key__startswith=_PERMISSION).values_list("key", flat=True):
        if key.removeprefix(_PERMISSION).partition(":")[0] not in still:
            incident_close(key=key)


def reading_refused(*, bot_id: UUID, peer_id: int, error: ChatRefuses) -> None:
    """Suspend the chat's permissions if Telegram refused its history because the account was removed."""
    if error.says != "removed":
        return
    chat_id = Chat.objects.filter(telegram_id=peer_id).values_list("id", flat=True).first()
    if chat_id is not None:
        writing_refused(bot_id=bot_id, chat_id=chat_id, error=error)


@transaction.atomic
def _suspend(bot_id: UUID, chat_id: UUID, what: str, *, purpose: ChatPermission.Grant | None) -> None:
    bot, chat = Bot.objects.only("key", "display_name").get(pk=bot_id), Chat.objects.get(pk=chat_id)
    if permissions_suspend(chat_id=chat_id, purpose=purpose, reason=f"{bot} {what}"):
        reason = f"{chat_phrase(chat)}: account {bot} {what}. The permission is suspended until an operator resumes it."
        # Report every suspension, even if the incident of an earlier one, just resumed, is still open.
        incident_close(key=_incident(chat_id, bot_id))
        incident_report(key=_incident(chat_id, bot_id), reason=reason)


def _incident(chat_id: UUID, bot_id: UUID) -> str:
    return f"{_PERMISSION}{chat_id}:{bot_id}"
