"""Figures of the queues: taken from the broker's management API by one task, read from the database by all others.

What is shown while the broker is away is the last that it said, with its age.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db.models import Max

from messaging.broker.management_api import ManagementApi
from messaging.broker.topology import TOPOLOGY
from messaging.database.clock import database_clock
from messaging.database.locks import rows_delete
from messaging.models import QueueSample

# Between two looks at the broker; `coolthing_site.processes.beat_schedule` gives the task this period.
SAMPLE_SECONDS = 15
KEPT = timedelta(hours=1)
# Two looks failed, or were late: what is older is no longer how things are.
STALE_SECONDS = 3.0 * SAMPLE_SECONDS
# A broker that does not answer must not hold one of the few maintenance slots for long.
_API_SECONDS = 3.0
# The broker's own statistics are five seconds apart; rates are averaged over what one look covers.
_RATES = {"msg_rates_age": SAMPLE_SECONDS, "msg_rates_incr": 5}


@dataclass(frozen=True)
class Snapshot:
    """The newest look at the broker, by queue, and how many seconds ago it was; without any there is no age."""

    queues: dict[str, QueueSample]
    age_seconds: float | None

    @property
    def is_stale(self) -> bool:
        return self.age_seconds is None or self.age_seconds > STALE_SECONDS


@dataclass(frozen=True)
class HeadAge:
    """How long the oldest message of a queue has been waiting: at most `seconds`, or more than that."""

    seconds: float
    at_least: bool = False


def sample() -> int:
    """Ask the broker about our queues and keep the answer; the number of queues. Raises `ManagementUnavailable`."""
    found = ManagementApi.from_settings(_API_SECONDS).in_vhost("queues", **_RATES)
    # One statement, so that all rows get the same time: the database's.
    rows = QueueSample.objects.bulk_create(_row(queue) for queue in found if TOPOLOGY.has_queue(queue["name"]))
    rows_delete(QueueSample.objects.filter(at__lt=database_clock() - KEPT))
    return len(rows)


def snapshot() -> Snapshot:
    newest = QueueSample.objects.aggregate(at=Max("at"))["at"]
    if newest is None:
        return Snapshot({}, None)
    rows = QueueSample.objects.filter(at=newest)
    return Snapshot({row.queue: row for row in rows}, max(0.0, (database_clock() - newest).total_seconds()))


def history(until: datetime) -> dict[str, list[QueueSample]]:
    """The samples of the hour before `until` by queue, the oldest first."""
    found = defaultdict(list)
    for row in QueueSample.objects.filter(at__gt=until - KEPT, at__lte=until).order_by("at"):
        found[row.queue].append(row)
    return dict(found)


def head_age(samples: Sequence[QueueSample], now: datetime) -> HeadAge | None:
    """How long the head of a queue has been there, from its samples in order of time; None when that is unknown.

    Quorum queues do not tell (`head_message_timestamp` is for classic ones), but they are first in, first out: with
    `waiting` messages the head is the one that came when all but `waiting` of the published ones had come. What a queue
    gets from a dead letter exchange is not counted as published: there the last time it was empty is all that is known.
    """
    samples = _since_restart(samples)
    if not samples:
        return None
    if _waiting(samples[-1]) == 0:
        return HeadAge(0.0)
    before_head = samples[-1].published - _waiting(samples[-1])
    came_after = [row.at for row in samples if _waiting(row) == 0 or row.published <= before_head]
    if came_after:
        return HeadAge((now - came_after[-1]).total_seconds())
    return HeadAge((now - samples[0].at).total_seconds(), at_least=True) if before_head >= 0 else None


def _row(queue: dict[str, Any]) -> QueueSample:
    """Figures are missing until the broker has counted for the first time."""
    stats = queue.get("message_stats", {})
    return QueueSample(
        queue=queue["name"],
        ready=queue.get("messages_ready", 0),
        unacked=queue.get("messages_unacknowledged", 0),
        consumers=queue.get("consumers", 0),
        published=stats.get("publish", 0),
        publish_rate=stats.get("publish_details", {}).get("avg_rate", 0.0),
        ack_rate=stats.get("ack_details", {}).get("avg_rate", 0.0),
    )


def _waiting(row: QueueSample) -> int:
    return row.ready + row.unacked


def _since_restart(samples: Sequence[QueueSample]) -> Sequence[QueueSample]:
    """A broker that starts again counts from nothing."""
    restarts = [
        place
        for place, (sample, next_sample) in enumerate(pairwise(samples), 1)
        if next_sample.published < sample.published
    ]
    return samples[restarts[-1] :] if restarts else samples
