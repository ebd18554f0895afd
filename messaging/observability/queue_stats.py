"""Statistics of the queues: one task gets them from the broker's management API, and all others read the database.

While the broker is unavailable, the panel shows the latest sample with its age.
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

# Seconds between two samples; `coolthing_site.processes.beat_schedule` gives the task this period.
SAMPLE_SECONDS = 15
KEPT = timedelta(hours=1)
# Older figures are stale: two samples have failed or were late.
STALE_SECONDS = 3.0 * SAMPLE_SECONDS
# The timeout is short, so that a broker that does not respond blocks a maintenance slot only briefly.
_API_SECONDS = 3.0
# The broker has a sample every five seconds. Rates are averaged over the time between two of our samples.
_RATES = {"msg_rates_age": SAMPLE_SECONDS, "msg_rates_incr": 5}


@dataclass(frozen=True)
class Snapshot:
    """The newest sample by queue, and its age in seconds; None if there is no sample."""

    queues: dict[str, QueueSample]
    age_seconds: float | None

    @property
    def is_stale(self) -> bool:
        return self.age_seconds is None or self.age_seconds > STALE_SECONDS


@dataclass(frozen=True)
class HeadAge:
    """How many seconds the oldest message of a queue has been waiting: at most `seconds`, or more with `at_least`."""

    seconds: float
    at_least: bool = False


def sample() -> int:
    """Store a sample of our queues. Returns the number of queues. Raises `ManagementUnavailable`."""
    found = ManagementApi.from_settings(_API_SECONDS).in_vhost("queues", **_RATES)
    # One statement, so that all rows get the same time of the database.
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
    """How long the head of a queue has been waiting, from its samples in order of time; None if this is unknown.

    Quorum queues do not report this (`head_message_timestamp` is for classic ones), but they are first in, first out:
    with `waiting` messages the head is the message that arrived when all but `waiting` of the published ones had
    arrived. Messages from a dead letter exchange do not count as published; for such queues only the last time without
    messages is known.
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
    """A sample of a queue. The management API omits statistics until the broker has counted for the first time."""
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
    """The samples since the last restart of the broker, when its counts began at 0 again."""
    restarts = [
        place
        for place, (sample, next_sample) in enumerate(pairwise(samples), 1)
        if next_sample.published < sample.published
    ]
    return samples[restarts[-1] :] if restarts else samples
