"""Records, revokes, suspends and resumes chat owners' permissions.

Each service changes the chat's row first: when it returns, every message not yet claimed is judged by the new state.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction

from campaigns.models import Chat, ChatPermission
from campaigns.policy import fences
from campaigns.wording import doubt_of
from messaging.database.clock import database_clock
from panelkit.errors import NotPossible


@transaction.atomic
def permission_grant(
    *,
    chat_id: UUID,
    purpose: ChatPermission.Grant,
    granted_by: str,
    evidence: str,
    granted_at: datetime | None = None,
    evidence_link: str = "",
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    members_told: str = "",
) -> ChatPermission:
    """Put the owner's permission on record. It ends the one that is on record for this purpose, if that says anything
    else: an extension is a new permission, and a suspended one is over when the owner has given another."""
    Chat.objects.select_for_update().get(id=chat_id)
    facts = {
        "granted_by": granted_by,
        "evidence": evidence,
        "evidence_link": evidence_link,
        "valid_from": valid_from,
        "valid_until": valid_until,
        "members_told": members_told,
    }
    open_ones = ChatPermission.objects.filter(chat_id=chat_id, purpose=purpose, revoked_at__isnull=True)
    same = open_ones.filter(**facts, **({"granted_at": granted_at} if granted_at else {})).first()
    if same is not None:
        return same
    _check_certain(chat_id)
    now = database_clock()
    open_ones.update(revoked_at=now, revoked_reason="Replaced by a newer one.")
    permission = ChatPermission.objects.create(chat_id=chat_id, purpose=purpose, granted_at=granted_at or now, **facts)
    fences.rules_changed()
    return permission


@transaction.atomic
def permission_revoke(
    *, chat_id: UUID, purpose: ChatPermission.Grant, reason: str = "", now: datetime | None = None
) -> int:
    """From its return on nothing is claimed under it; what is queued is refused. Returns how many it ended (0 or 1)."""
    Chat.objects.select_for_update().get(id=chat_id)
    on_record = ChatPermission.objects.filter(chat_id=chat_id, purpose=purpose, revoked_at__isnull=True)
    ended = on_record.update(revoked_at=now or database_clock(), revoked_reason=reason[:300])
    fences.rules_changed()
    return ended


@transaction.atomic
def permission_end(*, permission_id: int, reason: str = "") -> ChatPermission:
    """As `permission_revoke` for this one. Raises NotPossible when it has ended already: a newer one is another one."""
    permission = ChatPermission.objects.get(id=permission_id)
    Chat.objects.select_for_update().get(id=permission.chat_id)
    permission.refresh_from_db()
    if permission.revoked_at is not None:
        raise NotPossible("This permission ended before. If there is a newer one, revoke that.")
    permission_revoke(chat_id=permission.chat_id, purpose=ChatPermission.Grant(permission.purpose), reason=reason)
    permission.refresh_from_db()
    return permission


@transaction.atomic
def permissions_suspend(
    *, chat_id: UUID, reason: str, purpose: ChatPermission.Grant | None = None, now: datetime | None = None
) -> int:
    """Something says that the owner does not want us there: until an operator has looked nothing is said or read under
    the chat's permissions (all of them, or the one for `purpose`). Returns how many that concerns now."""
    Chat.objects.select_for_update().get(id=chat_id)
    on_record = ChatPermission.objects.filter(chat_id=chat_id, revoked_at__isnull=True, suspended_at__isnull=True)
    if purpose is not None:
        on_record = on_record.filter(purpose=purpose)
    suspended = on_record.update(suspended_at=now or database_clock(), suspended_reason=reason[:300])
    if suspended:
        fences.rules_changed()
    return suspended


@transaction.atomic
def permission_resume(*, permission_id: int) -> ChatPermission:
    """An operator has asked the owner: it holds again. Doing it twice is no error."""
    chat_id = ChatPermission.objects.values_list("chat_id", flat=True).get(id=permission_id)
    Chat.objects.select_for_update().get(id=chat_id)
    permission = ChatPermission.objects.get(id=permission_id)
    if permission.revoked_at is not None:
        raise NotPossible("This permission was revoked: record the new one that the owner has given.")
    _check_certain(chat_id)
    permission.suspended_at, permission.suspended_reason = None, ""
    permission.save(update_fields=["suspended_at", "suspended_reason"])
    fences.rules_changed()
    return permission


@transaction.atomic
def permissions_resume(*, chat_id: UUID, suspensions: Mapping[int, datetime]) -> int:
    """An operator has asked the owner: these permissions of the chat hold again. `suspensions`: by id, since when each
    was suspended as the operator saw it; one that was resumed, revoked or suspended anew since then stays as it is.
    Returns how many hold again."""
    Chat.objects.select_for_update().get(id=chat_id)
    _check_certain(chat_id)
    on_record = ChatPermission.objects.filter(chat_id=chat_id, revoked_at__isnull=True)
    resumed = sum(
        on_record.filter(id=permission_id, suspended_at=since).update(suspended_at=None, suspended_reason="")
        for permission_id, since in sorted(suspensions.items())
    )
    if resumed:
        fences.rules_changed()
    return resumed


def _check_certain(chat_id: UUID) -> None:
    """Nothing is permitted while it is in doubt which chat that would be for."""
    if doubt := doubt_of(Chat.objects.get(id=chat_id)):
        raise NotPossible(f"{doubt}.")
