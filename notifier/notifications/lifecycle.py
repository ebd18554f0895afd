"""The states of a notification: claimed, sent, failed, due again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, TextField, Value, When

from messaging.event_objects import name_of
from messaging.publishing.celery_tasks import send_on_commit
from messaging.rounds import LOST, backoff
from notifier.models import Channel, Notification
from notifier.notifications.bundles import EARLY, bundle_merge
from notifier.notifications.links import path_of
from notifier.notifications.titles import text_of
from outgoing.retry_after import MOST_SECONDS as LONGEST_WAIT_SECONDS

SEND_TASK = "notifier.tasks.send_notification"
State = Notification.State

# After this time a notification whose task died may be claimed again. Longer than any transport takes.
CLAIM = timedelta(seconds=60)
# A due row gets another task if none has been seen for this long.
REDISPATCH = timedelta(seconds=30)
# With the waits below, these attempts cover about half an hour in which a channel is unavailable.
MOST_ATTEMPTS = 10
_BACKOFF_FIRST_SECONDS, _BACKOFF_MOST_SECONDS = 1.0, 600.0


@dataclass(frozen=True)
class Sending:
    """A claimed notification: what a transport needs besides the address. `attempt` identifies the claim."""

    id: UUID
    attempt: int
    channel_id: UUID
    kind: str
    content: dict[str, object]


@transaction.atomic
def notification_claim(*, notification_id: UUID, now: datetime) -> Sending | None:
    """Claim a due notification, with all that wait in its bundle.

    Returns None if it is not due, claimed by another task, or settled. The result may have another id, that of the
    newest one in the bundle. A notification whose attempts are used up, the last one without a result, is given up.
    """
    merged = bundle_merge(notification_id=notification_id, now=now)
    if merged is None:
        return None
    notification_id = merged
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    due = Notification.objects.filter(free, id=notification_id, state=State.QUEUED, due_at__lte=now + EARLY)
    lost = Case(When(claimed_until__isnull=False, then=Value(LOST)), default=F("error"), output_field=TextField())
    if not due.update(claimed_until=now + CLAIM, attempts=F("attempts") + 1, error=lost):
        return None
    # Without the address, because an address that cannot be decrypted is an error of the attempt, not of the claim.
    row = Notification.objects.select_related("channel").defer("channel__address").filter(id=notification_id).first()
    if row is None:
        # Its channel was deleted meanwhile, or a person's data was erased.
        return None
    content: dict[str, object] = {
        "id": str(row.id),
        "title": row.title,
        "text": text_of(row.routing_key, row.body, name_of, count=row.count),
        "url": f"{settings.PANEL_URL.rstrip('/')}{path_of(row.body, count=row.count)}",
        "count": row.count,
        "routing_key": row.routing_key,
        "event_id": str(row.event_id),
        "created_at": row.created_at.isoformat(),
        "event": row.body,
    }
    sending = Sending(row.id, row.attempts, row.channel_id, row.channel.kind, content)
    if row.attempts > MOST_ATTEMPTS:
        notification_failed(sending=sending, error=row.error, permanent=True, now=now)
        return None
    return sending


def channel_address(*, sending: Sending) -> str:
    """The channel's secret address. Raises the vault's error if it cannot be decrypted."""
    return Channel.objects.get(id=sending.channel_id).address


def notification_sent(*, sending: Sending, now: datetime) -> bool:
    return bool(_claimed(sending).update(state=State.SENT, sent_at=now, claimed_until=None, error=""))


def notification_failed(
    *, sending: Sending, error: str, permanent: bool, now: datetime, retry_after: float | None = None
) -> bool:
    """Record a failed attempt: try again later, or give up after the last attempt or if the error is permanent.

    `retry_after` is the wait in seconds that the receiver asked for; it is limited to an hour. No event is published,
    because a channel that does not work must not cause further notifications. Returns whether the claim was still
    valid.
    """
    if permanent or sending.attempt >= MOST_ATTEMPTS:
        return bool(_claimed(sending).update(state=State.FAILED, error=error, claimed_until=None))
    delay = backoff(sending.attempt, first=_BACKOFF_FIRST_SECONDS, most=_BACKOFF_MOST_SECONDS)
    later = now + max(delay, timedelta(seconds=min(retry_after or 0.0, LONGEST_WAIT_SECONDS)))
    return bool(_claimed(sending).update(due_at=later, claimed_until=None, dispatched_at=None, error=error))


@transaction.atomic
def notifications_dispatch_due(*, now: datetime, limit: int = 200) -> int:
    """Send a task for every due notification without a task under way, one per bundle. Returns their number."""
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    unseen = Q(dispatched_at=None) | Q(dispatched_at__lte=now - REDISPATCH)
    due = Notification.objects.filter(free & unseen, state=State.QUEUED, due_at__lte=now).order_by("due_at")
    rows = list(due.select_for_update(skip_locked=True).only("id", "channel_id", "bundle", "attempts")[:limit])
    Notification.objects.filter(id__in=[row.id for row in rows]).update(dispatched_at=now)
    # The first claim takes all waiting notifications of the bundle.
    tasks = {(row.channel_id, row.bundle) if row.bundle and not row.attempts else row.id: row.id for row in rows}
    for notification_id in tasks.values():
        send_on_commit(SEND_TASK, str(notification_id))
    return len(tasks)


def _claimed(sending: Sending) -> QuerySet[Notification]:
    return Notification.objects.filter(id=sending.id, state=State.QUEUED, attempts=sending.attempt)
