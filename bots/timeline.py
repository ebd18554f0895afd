"""The story of one delivery: what happened to it, when, and how often."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from bots.models import Delivery, DeliveryEvent

Kind = DeliveryEvent.Kind


@dataclass(frozen=True)
class Entry:
    """`kind` is one of DeliveryEvent's, "created" or "settled". It happened `times` times, from `at` to `last_at`."""

    kind: str
    label: str
    at: datetime
    detail: str = ""
    times: int = 1
    last_at: datetime | None = None


def note(kind: DeliveryEvent.Kind, details: Mapping[UUID, str], *, at: datetime | None = None) -> None:
    """Write down that this happened to these deliveries, each with its detail; `at` is now when it is left out.

    In the transaction of the change that it tells of, so that neither is there without the other.
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


def timeline(delivery: Delivery) -> list[Entry]:
    """What happened, in the order in which each thing happened first."""
    entries = [Entry("created", "Created", delivery.created_at, f"by {delivery.origin}")]
    for event in delivery.events.order_by("at", "id"):
        entries.append(Entry(event.kind, event.get_kind_display(), event.at, event.detail, event.times, event.last_at))
        if event.kind in Delivery.FINAL:
            # One transaction with the state: neither is there without the other.
            entries.append(Entry("settled", "Settled", event.last_at, f"{delivery.origin} was told"))
    return entries
