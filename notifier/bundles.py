"""Events that belong together are one notification. Each is recorded as a row of its own, which nobody else changes;
the rows that wait become one when it goes out."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from messaging.locks import rows_lock
from notifier.models import Channel, Notification
from notifier.names import name_of
from notifier.titles import title_of

# Of events that belong together a channel gets one notification in this time: the first at once, and then all that have
# come since in one.
BUNDLED = timedelta(minutes=10)
# A task may arrive this much before its row is due by the clock of its machine: clocks differ.
EARLY = timedelta(seconds=0.5)


def bundle_due(*, channel: Channel, bundle: str, now: datetime) -> datetime:
    """When an event of the bundle is due. Events that are recorded at the same time may all get `now`: the claim of the
    first postpones the others."""
    recent = Notification.objects.filter(channel=channel, bundle=bundle, bundle_at__gt=now - BUNDLED)
    last: datetime | None = recent.aggregate(last=Max("bundle_at"))["last"]
    if last is None:
        return now
    return last if last > now else last + BUNDLED


@transaction.atomic
def bundle_gather(*, notification_id: UUID, now: datetime) -> UUID | None:
    """Make one notification of all that wait in the bundle of a due one, and return its id, to be claimed in the same
    transaction. A notification without a bundle, or one that was tried before, is returned as it is.

    None when nothing is to go out: the notification is gone, or another of its bundle went out less than BUNDLED ago.
    """
    found = Notification.objects.filter(id=notification_id).only("channel_id", "bundle", "due_at", "attempts").first()
    if found is None:
        return None
    if not found.bundle or found.attempts or found.due_at > now + EARLY:
        return found.id
    bundle = Notification.objects.filter(channel_id=found.channel_id, bundle=found.bundle, bundle_at__isnull=False)
    # Other claims of the bundle wait here, and see what this one has made of its rows.
    waiting = rows_lock(bundle.filter(state=Notification.State.QUEUED, attempts=0))
    if found.id not in waiting:
        return None
    recent = bundle.filter(attempts__gt=0, bundle_at__gt=now + EARLY - BUNDLED)
    if last := recent.aggregate(last=Max("bundle_at"))["last"]:
        later = last + BUNDLED
        Notification.objects.filter(id=found.id).update(due_at=later, bundle_at=later, dispatched_at=None)
        return None
    return _one_of(waiting, due_at=found.due_at)


def _one_of(waiting: list[UUID], *, due_at: datetime) -> UUID:
    """The newest of these locked rows stands for all of them; the others are deleted."""
    rows = Notification.objects.filter(id__in=waiting)
    counts = dict(rows.values_list("id", "count"))
    newest = rows.order_by("created_at", "id").last()
    assert newest is not None
    # Rows of an earlier release stand for several events.
    count = sum(counts.values())
    title = title_of(newest.routing_key, newest.body, name_of, count=count)
    Notification.objects.filter(id=newest.id).update(count=count, title=title, due_at=due_at, bundle_at=due_at)
    others = counts.keys() - {newest.id}
    if others:
        Notification.objects.filter(id__in=others).delete()
    return newest.id
