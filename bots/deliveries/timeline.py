"""The timeline of a delivery: what happened to it, when, and how often."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from bots.models import Delivery, DeliveryEvent

# The error_kind of deliveries that an operator has resolved.
RESOLVED = "resolved"


@dataclass(frozen=True)
class TimelineEntry:
    """An entry of a delivery's timeline: it happened `times` times, from `at` to `last_at`.

    `kind` is a DeliveryEvent.Kind, or "created", "claimed" or "settled".
    """

    kind: str
    label: str
    at: datetime
    detail: str = ""
    times: int = 1
    last_at: datetime | None = None


def note(kind: DeliveryEvent.Kind, details: Mapping[UUID, str], *, at: datetime | None = None) -> None:
    """Record an event of these deliveries, each with its detail. `at` is the present by default.

    Call it in the transaction of the change that the event is about, so that both are committed or neither.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO bots_deliveryevent AS known (delivery_id, kind, detail, at, last_at, times)
            SELECT new.id, %(kind)s, new.detail, moment.at, moment.at, 1
            FROM unnest(%(ids)s::uuid[], %(details)s::text[]) AS new (id, detail),
                (SELECT coalesce(%(at)s::timestamptz, clock_timestamp())) AS moment (at)
            ORDER BY new.id
            ON CONFLICT (delivery_id, kind, md5(detail)) DO UPDATE
                SET times = known.times + 1, last_at = greatest(known.last_at, excluded.last_at)
            """,
            {"kind": kind, "ids": list(details), "details": list(details.values()), "at": at},
        )


def timeline(delivery: Delivery) -> list[TimelineEntry]:
    """The delivery's entries, in the order of their first times."""
    entries = list(_by_columns(delivery))
    for event in delivery.events.order_by("id"):
        entries.append(
            TimelineEntry(event.kind, event.get_kind_display(), event.at, event.detail, event.times, event.last_at)
        )
        if event.kind in Delivery.FINAL:
            entries.append(_settled(delivery, event.last_at))
    created = TimelineEntry("created", "Created", delivery.created_at, f"by {delivery.origin}")
    return [created, *sorted(entries, key=lambda entry: entry.at)]


def _by_columns(delivery: Delivery) -> Iterator[TimelineEntry]:
    """The entries that have no events because the delivery's columns contain them."""
    claimed_at = delivery.counted_at
    if claimed_at is not None:
        yield TimelineEntry("claimed", "Claimed", claimed_at, f"under epoch {delivery.lease_epoch}")
    if delivery.sent_at is not None and delivery.error_kind != RESOLVED:
        # Telegram's time, in whole seconds.
        sent_at = max(delivery.sent_at, claimed_at or delivery.sent_at)
        yield TimelineEntry("sent", "Sent", sent_at, f"message {delivery.telegram_message_id}")
        yield _settled(delivery, sent_at)


def _settled(delivery: Delivery, at: datetime) -> TimelineEntry:
    """The entry about the origin, which is settled in the same transaction in which the final state is written."""
    return TimelineEntry("settled", "Result reported", at, f"to {delivery.origin}")
