"""Notifies the team before a chat owner's permission ends."""

from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import Q

from campaigns.models import ChatPermission
from campaigns.wording import chat_phrase
from messaging.events import ServiceErrorEvent
from messaging.publishing.outbox import publish_on_commit
from messaging.rounds import for_each

# The days before the end at which the team is notified, once each. 0: the permission has ended.
STAGES = (14, 3, 0)
SERVICE = "admin"


def permissions_notify_expiring(*, now: datetime) -> int:
    """Publish an `admin.error` event for each permission that has reached its next stage. Returns their number.

    Several processes may run it at the same time: the one that updates the row publishes. Of several missed stages only
    the latest is published.
    """
    ending = ChatPermission.objects.filter(
        revoked_at__isnull=True, valid_until__lte=now + timedelta(days=STAGES[0])
    ).exclude(expiry_told=0)
    found = ending.select_related("chat").order_by("valid_until")
    return sum(for_each(found, lambda permission: _notify(permission, now), what="permission"))


@transaction.atomic
def _notify(permission: ChatPermission, now: datetime) -> bool:
    assert permission.valid_until is not None
    left = permission.valid_until - now
    stage = min(days for days in STAGES if left <= timedelta(days=days))
    not_notified = Q(expiry_told__isnull=True) | Q(expiry_told__gt=stage)
    row = ChatPermission.objects.filter(not_notified, pk=permission.pk, revoked_at__isnull=True)
    if not row.filter(valid_until=permission.valid_until).update(expiry_told=stage):
        return False
    publish_on_commit(ServiceErrorEvent(service=SERVICE, reason=_sentence(permission, stage)))
    return True


def _sentence(permission: ChatPermission, stage: int) -> str:
    assert permission.valid_until is not None
    what = (
        f"The permission of {chat_phrase(permission.chat)} for {permission.purpose} (given by {permission.granted_by})"
    )
    at = f"{permission.valid_until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if stage == 0:
        return f"{what} expired at {at}: accounts neither write nor read in the chat under it."
    return f"{what} expires at {at}, in {stage} days or less: ask the owner and record a new permission."
