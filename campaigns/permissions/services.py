"""Records, revokes, suspends and resumes chat owners' permissions.

Each service locks the chat's row first. After it has returned, the gate checks every delivery that is not yet claimed
against the new permissions.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction

from campaigns.models import Chat, ChatPermission
from campaigns.policy import notices
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
    """Record the owner's permission and return it.

    A different permission that is on record for the purpose ends, also if it is suspended. If the same permission is on
    record already, it is returned unchanged. To extend a permission, record a new one. Raises NotPossible while it is
    in doubt which chat the permission is for.
    """
    Chat.objects.select_for_update().get(id=chat_id)
    facts = {
        "granted_by": granted_by,
        "evidence": evidence,
        "evidence_link": evidence_link,
        "valid_from": valid_from,
        "valid_until": valid_until,
        "members_told": members_told,
    }
    on_record = ChatPermission.objects.filter(chat_id=chat_id, purpose=purpose, revoked_at__isnull=True)
    same = on_record.filter(**facts, **({"granted_at": granted_at} if granted_at else {})).first()
    if same is not None:
        return same
    _check_certain(chat_id)
    now = database_clock()
    on_record.update(revoked_at=now, revoked_reason="Replaced by a newer permission.")
    permission = ChatPermission.objects.create(chat_id=chat_id, purpose=purpose, granted_at=granted_at or now, **facts)
    notices.rules_changed()
    return permission


@transaction.atomic
def permission_revoke(
    *, chat_id: UUID, purpose: ChatPermission.Grant, reason: str = "", now: datetime | None = None
) -> int:
    """Revoke the chat's permission for this purpose. Returns the number of ended permissions (0 or 1).

    After it has returned, nothing is claimed under the permission, and the gate refuses queued deliveries.
    """
    Chat.objects.select_for_update().get(id=chat_id)
    on_record = ChatPermission.objects.filter(chat_id=chat_id, purpose=purpose, revoked_at__isnull=True)
    ended = on_record.update(revoked_at=now or database_clock(), revoked_reason=reason[:300])
    notices.rules_changed()
    return ended


@transaction.atomic
def permission_end(*, permission_id: int, reason: str = "") -> ChatPermission:
    """Revoke this permission. Raises NotPossible if it has ended already, even if there is a newer one."""
    permission = ChatPermission.objects.get(id=permission_id)
    Chat.objects.select_for_update().get(id=permission.chat_id)
    permission.refresh_from_db()
    if permission.revoked_at is not None:
        raise NotPossible(
            "This permission has ended already. If a newer permission is on record, revoke the newer one."
        )
    permission_revoke(chat_id=permission.chat_id, purpose=ChatPermission.Grant(permission.purpose), reason=reason)
    permission.refresh_from_db()
    return permission


@transaction.atomic
def permissions_suspend(
    *, chat_id: UUID, reason: str, purpose: ChatPermission.Grant | None = None, now: datetime | None = None
) -> int:
    """Suspend the chat's permissions, or the one for `purpose`, because the owner may no longer want the bots there.

    Until an operator resumes a suspended permission, bots neither write nor read under it. Returns the number of
    permissions that this call has suspended.
    """
    Chat.objects.select_for_update().get(id=chat_id)
    on_record = ChatPermission.objects.filter(chat_id=chat_id, revoked_at__isnull=True, suspended_at__isnull=True)
    if purpose is not None:
        on_record = on_record.filter(purpose=purpose)
    suspended = on_record.update(suspended_at=now or database_clock(), suspended_reason=reason[:300])
    if suspended:
        notices.rules_changed()
    return suspended


@transaction.atomic
def permission_resume(*, permission_id: int) -> ChatPermission:
    """Put a suspended permission in force again, after an operator has asked the owner. A second call changes nothing.

    Raises NotPossible if the permission was revoked, or while it is in doubt which chat it is for.
    """
    chat_id = ChatPermission.objects.values_list("chat_id", flat=True).get(id=permission_id)
    Chat.objects.select_for_update().get(id=chat_id)
    permission = ChatPermission.objects.get(id=permission_id)
    if permission.revoked_at is not None:
        raise NotPossible("This permission was revoked: ask the owner for a new permission, and record it.")
    _check_certain(chat_id)
    permission.suspended_at, permission.suspended_reason = None, ""
    permission.save(update_fields=["suspended_at", "suspended_reason"])
    notices.rules_changed()
    return permission


@transaction.atomic
def permissions_resume(*, chat_id: UUID, suspensions: Mapping[int, datetime]) -> int:
    """Put several suspended permissions of the chat in force again, after an operator has asked the owner.

    `suspensions` maps ids to the `suspended_at` that the operator saw. A permission that was resumed, revoked or
    suspended again since then is not changed. Returns the number of resumed permissions.
    """
    Chat.objects.select_for_update().get(id=chat_id)
    _check_certain(chat_id)
    on_record = ChatPermission.objects.filter(chat_id=chat_id, revoked_at__isnull=True)
    resumed = sum(
        on_record.filter(id=permission_id, suspended_at=since).update(suspended_at=None, suspended_reason="")
        for permission_id, since in sorted(suspensions.items())
    )
    if resumed:
        notices.rules_changed()
    return resumed


def _check_certain(chat_id: UUID) -> None:
    """Raises NotPossible while it is in doubt which chat a permission would be for."""
    if doubt := doubt_of(Chat.objects.get(id=chat_id)):
        raise NotPossible(f"{doubt}.")
