"""Bundles: related events get one notification.

Each event is recorded as its own row, which no other event changes; the waiting rows become one when they are sent.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max, QuerySet

from messaging.database.locks import rows_lock_with
from messaging.event_objects import name_of
from notifier.models import Channel, Notification
from notifier.notifications.titles import title_of

# A channel gets one notification of related events in this time: the first event at once, then all later ones together.
BUNDLED = timedelta(minutes=10)
# A task may arrive this long before its row is due, because the clocks of machines differ.
EARLY = timedelta(seconds=0.5)


def bundle_due(*, channel: Channel, bundle: str, now: datetime) -> datetime:
    """When an event of the bundle is due.

    Events that are recorded at the same time may all get `now`; then the claim of the first one postpones the others.
    """
    recent = Notification.objects.filter(channel=channel, bundle=bundle, bundle_at__gt=now - BUNDLED)
    last: datetime | None = recent.aggregate(last=Max("bundle_at"))["last"]
    if last is None:
        return now
    return last if last > now else last + BUNDLED


@transaction.atomic
def bundle_merge(*, notification_id: UUID, now: datetime) -> UUID | None:
    """Merge all waiting notifications of a due notification's bundle, and return the id of the remaining one.

    Claim it in the same transaction. A notification without a bundle, or one that was tried before, is returned
    unchanged. Returns None if there is nothing to send: the notification was deleted, or another one of its bundle was
    sent less than BUNDLED ago.
    """
    found = Notification.objects.filter(id=notification_id).only("channel_id", "bundle", "due_at", "attempts").first()
    if found is None:
        return None
    if not found.bundle or found.attempts or found.due_at > now + EARLY:
        return found.id
    bundle = Notification.objects.filter(channel_id=found.channel_id, bundle=found.bundle, bundle_at__isnull=False)
    waiting = bundle.filter(state=Notification.State.QUEUED, attempts=0)
    # Other claims of the bundle wait here, and then see the merged rows.
    if not rows_lock_with(waiting, pk=found.id):
        return None
    recent = bundle.filter(attempts__gt=0, bundle_at__gt=now + EARLY - BUNDLED)
    if last := recent.aggregate(last=Max("bundle_at"))["last"]:
        later = last + BUNDLED
        Notification.objects.filter(id=found.id).update(due_at=later, bundle_at=later, dispatched_at=None)
        return None
    return _merge(waiting, due_at=found.due_at)


def _merge(waiting: QuerySet[Notification], *, due_at: datetime) -> UUID:
    """Merge these rows into the newest one, and delete the others. The rows that existed at the lock are locked."""
    newest_id, count = _delete_all_but_newest(waiting)
    newest = Notification.objects.only("routing_key", "body").get(id=newest_id)
    title = title_of(newest.routing_key, newest.body, name_of, count=count)
    Notification.objects.filter(id=newest_id).update(count=count, title=title, due_at=due_at, bundle_at=due_at)
    return newest_id


def _delete_all_but_newest(waiting: QuerySet[Notification]) -> tuple[UUID, int]:
    """Delete all rows but the newest.

    Returns its id, and the number of events (an older release's row may have several). There may be tens of thousands,
    so the rows are not loaded. One statement counts and deletes the same rows: a row that arrives between two
    statements would be deleted without being counted. A row that arrived after the lock on the bundle is included,
    unless another transaction has locked it.
    """
    rows = waiting.order_by("pk").select_for_update(skip_locked=True, no_key=True).values("id", "count", "created_at")
    sql, params = rows.query.sql_with_params()
    table = Notification._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH waiting (id, count, created_at) AS MATERIALIZED ({sql}), "
            "newest AS (SELECT id FROM waiting ORDER BY created_at DESC, id DESC LIMIT 1), "
            f"deleted AS (DELETE FROM {table} AS other USING waiting, newest "
            "WHERE other.id = waiting.id AND other.id <> newest.id) "
            "SELECT newest.id, (SELECT sum(count) FROM waiting) FROM newest",
            params,
        )
        newest_id, count = cursor.fetchone()
    return newest_id, int(count)
