"""Decides whether a chat owner's permission is in force at a given time, and if not, why."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from campaigns.models import Chat, ChatPermission
from campaigns.wording import minute, reference_unconfirmed


@dataclass(frozen=True)
class Gap:
    """Why a permission is not in force.

    A `lasting` gap ends only with a new permission. Any other gap ends at the time `until`, if that is set. Without it,
    an `unconfirmed` gap ends when an account confirms the chat's reference, and any other gap ends when an operator has
    checked the chat.
    """

    reason: str
    lasting: bool = True
    until: datetime | None = None
    unconfirmed: bool = False


NONE_ON_RECORD = Gap("none is on record")


def in_force(now: datetime | Now) -> Q:
    """The permissions in force at `now`: a time, or `Now()` for the database's time when the statement runs."""
    return _given(now) & Q(chat__reference_changed_at__isnull=True)


def _given(now: datetime | Now) -> Q:
    """Permissions that are in force, or will be once an account has confirmed the chat's changed reference."""
    begun = Q(valid_from__isnull=True) | Q(valid_from__lte=now)
    lasts = Q(valid_until__isnull=True) | Q(valid_until__gt=now)
    return Q(revoked_at__isnull=True, suspended_at__isnull=True) & begun & lasts


class Terms(NamedTuple):
    """What decides whether a permission is in force."""

    valid_from: datetime | None
    valid_until: datetime | None
    revoked_at: datetime | None
    suspended_at: datetime | None
    suspended_reason: str
    reference_changed_at: datetime | None


# For each chat the permission that is not revoked, or else the one that was revoked last.
_LATEST_TERMS = """
    SELECT DISTINCT ON (chat_id) chat_id, valid_from, valid_until, revoked_at, suspended_at, suspended_reason,
        chat.reference_changed_at
    FROM campaigns_chatpermission JOIN campaigns_chat chat ON chat.id = chat_id
    WHERE chat_id = ANY(%s) AND purpose = %s
    ORDER BY chat_id, revoked_at DESC NULLS FIRST
"""


def gap_of(permission: ChatPermission | Terms, now: datetime) -> Gap | None:
    """Why this permission is not in force at `now`; None if it is in force."""
    if permission.revoked_at is not None:
        return Gap(f"it was revoked at {minute(permission.revoked_at)}")
    if permission.valid_until is not None and permission.valid_until <= now:
        return Gap(f"it expired at {minute(permission.valid_until)}")
    if permission.suspended_at is not None:
        return Gap(f"it is suspended until an operator checks the chat: {permission.suspended_reason}", lasting=False)
    if permission.reference_changed_at is not None:
        return Gap(reference_unconfirmed(permission.reference_changed_at), lasting=False, unconfirmed=True)
    if permission.valid_from is not None and permission.valid_from > now:
        return Gap(f"it begins at {minute(permission.valid_from)}", lasting=False, until=permission.valid_from)
    return None


def gap_at(chat: Chat, purpose: ChatPermission.Grant, now: datetime) -> Gap | None:
    """Why no permission of this chat is in force at `now`, or None. Uses prefetched `chat.permissions`."""
    given = [permission for permission in chat.permissions.all() if permission.purpose == purpose]
    if not given:
        return NONE_ON_RECORD
    ended_last = datetime.max.replace(tzinfo=UTC)
    return gap_of(max(given, key=lambda permission: permission.revoked_at or ended_last), now)


def permissions_in_force(*, purpose: ChatPermission.Grant, now: datetime | Now) -> QuerySet[ChatPermission]:
    return ChatPermission.objects.filter(in_force(now), purpose=purpose)


def permissions_given(*, purpose: ChatPermission.Grant, now: datetime | Now) -> QuerySet[ChatPermission]:
    """Permissions that are in force, or will be once an account has confirmed the chat's changed reference.

    Accounts must stay in all these chats: otherwise no account could confirm a changed reference.
    """
    return ChatPermission.objects.filter(_given(now), purpose=purpose)


def chats_permitted(
    *, chat_ids: Iterable[UUID], purpose: ChatPermission.Grant, now: datetime | Now | None = None
) -> set[UUID]:
    """The chats with a permission for this purpose in force at `now` (None: the database's time)."""
    permitted = permissions_in_force(purpose=purpose, now=now or Now()).filter(chat_id__in=set(chat_ids))
    return set(permitted.values_list("chat_id", flat=True))


def is_permitted(*, chat_id: UUID, purpose: ChatPermission.Grant, now: datetime | Now | None = None) -> bool:
    return chat_id in chats_permitted(chat_ids=[chat_id], purpose=purpose, now=now)


def permission_gaps(*, chat_ids: Iterable[UUID], purpose: ChatPermission.Grant, now: datetime) -> dict[UUID, Gap]:
    """The chats without a permission in force at `now`, each with the reason."""
    wanted = set(chat_ids)
    with connection.cursor() as cursor:
        cursor.execute(*permission_gaps_query(chat_ids=wanted, purpose=purpose))
        return permission_gaps_of_rows(cursor.fetchall(), chat_ids=wanted, now=now)


def permission_gaps_query(*, chat_ids: Iterable[UUID], purpose: ChatPermission.Grant) -> tuple[str, list[Any]]:
    """The SQL and parameters of `permission_gaps`, for callers that send several statements in one round trip.

    `permission_gaps_of_rows` turns the rows into gaps.
    """
    return _LATEST_TERMS, [list(chat_ids), str(purpose)]


def permission_gaps_of_rows(
    rows: Iterable[tuple[Any, ...]], *, chat_ids: Iterable[UUID], now: datetime
) -> dict[UUID, Gap]:
    latest = {chat_id: gap_of(Terms(*terms), now) for chat_id, *terms in rows}
    gaps = {chat_id: latest.get(chat_id, NONE_ON_RECORD) for chat_id in chat_ids}
    return {chat_id: gap for chat_id, gap in gaps.items() if gap is not None}
