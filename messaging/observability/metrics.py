"""The metrics for Prometheus: queues, outbox, dead letters and handlers, all read from the database.

Every web process returns the same values, so Prometheus scrapes one of them, or any through a load balancer.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Min, Q
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from messaging.broker import topology
from messaging.consuming import work_tasks
from messaging.database.clock import database_clock
from messaging.dead_letters.deaths import UNROUTABLE
from messaging.instrumentation import timings
from messaging.models import DeadLetter, HandlingBucket, OutboxEvent, QueueControl
from messaging.observability import queue_stats

# Names from the wire contract. A service without rows has the value 0.
SERVICES = ("admin", "scripts", "scripts_watchdog", "parser", "manager", "notifier", "bots")
# The publish rate is an average over this time.
PUBLISH_WINDOW_SECONDS = 60


class BusCollector(Collector):
    def collect(self) -> Iterator[Metric]:
        yield from queue_families()
        yield publish_rate()
        yield from outbox_families()
        yield dead_letters()
        yield expired()
        yield paused()
        yield histogram("coolthing_handler_seconds", timings.HANDLER_SECONDS, "Seconds that handling an event took")
        yield histogram("coolthing_event_age_seconds", timings.EVENT_AGE_SECONDS, "Age of events when handling began")

    def describe(self) -> list[Metric]:
        """Nothing, so that registering the collector does not query the database."""
        return []


def render(accept: str, *rooms: Collector) -> tuple[bytes, str]:
    """The metrics of the bus and of other apps, in the format of this Accept header, and the content type."""
    registry = CollectorRegistry()
    for collector in (BusCollector(), *rooms):
        registry.register(collector)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def queue_families() -> Iterator[Metric]:
    """The latest sample of the queues' statistics. `coolthing_queue_figures_age_seconds` is its age."""
    messages = GaugeMetricFamily("rabbitmq_queue_messages", "Messages ready and unacknowledged", labels=["queue"])
    consumers = GaugeMetricFamily("rabbitmq_queue_consumers", "Consumers of the queue", labels=["queue"])
    consume_rate = GaugeMetricFamily("rabbitmq_consume_rate", "Messages acknowledged per second", labels=["service"])
    newest = queue_stats.snapshot()
    acks = dict.fromkeys(SERVICES, 0.0)
    for name, row in sorted(newest.queues.items()):
        messages.add_metric([name], row.ready + row.unacked)
        consumers.add_metric([name], row.consumers)
        if name in topology.SERVICES:
            acks[topology.SERVICES[name]] += row.ack_rate
    # Before the first sample nothing is known, so there is no rate, not even 0.
    for service, rate in sorted(acks.items() if newest.queues else ()):
        consume_rate.add_metric([service], rate)
    yield from (messages, consumers, consume_rate, _head_ages())
    if newest.age_seconds is not None:
        yield GaugeMetricFamily(
            "coolthing_queue_figures_age_seconds",
            "Seconds since the last sample of the queues' statistics",
            newest.age_seconds,
        )


def publish_rate() -> Metric:
    family = GaugeMetricFamily(
        "rabbitmq_publish_rate", f"Events confirmed per second, over {PUBLISH_WINDOW_SECONDS} s", labels=["service"]
    )
    since = database_clock() - timedelta(seconds=PUBLISH_WINDOW_SECONDS)
    rows = OutboxEvent.objects.filter(published_at__gt=since).values_list("service").annotate(n=Count("id")).order_by()
    for service, count in sorted({**dict.fromkeys(SERVICES, 0), **dict(rows)}.items()):
        family.add_metric([service], count / PUBLISH_WINDOW_SECONDS)
    return family


def outbox_families() -> Iterator[Metric]:
    waiting = Q(published_at__isnull=True, parked_at__isnull=True)
    found = OutboxEvent.objects.filter(waiting).aggregate(count=Count("id"), oldest=Min("created_at"))
    parked = OutboxEvent.objects.filter(parked_at__isnull=False).count()
    events = GaugeMetricFamily("coolthing_outbox_events", "Events that are not published", labels=["state"])
    events.add_metric(["waiting"], found["count"])
    events.add_metric(["parked"], parked)
    yield events
    age = (database_clock() - found["oldest"]).total_seconds() if found["oldest"] else 0.0
    yield GaugeMetricFamily("coolthing_outbox_age_seconds", "Age of the oldest event that waits to be published", age)


def dead_letters() -> Metric:
    """Open dead letters by the queue where they died."""
    family = GaugeMetricFamily("coolthing_dead_letters", "Dead letters that wait for a decision", labels=["queue"])
    rows = DeadLetter.objects.filter(state=DeadLetter.State.OPEN).values_list("queue").annotate(n=Count("id"))
    open_by_queue = {queue or UNROUTABLE: count for queue, count in rows.order_by()}
    nothing = dict.fromkeys([*(queue.name for queue in topology.TOPOLOGY.queues if queue.dead_letters), UNROUTABLE], 0)
    for queue, count in sorted({**nothing, **open_by_queue}.items()):
        family.add_metric([queue], count)
    return family


def expired() -> Metric:
    family = CounterMetricFamily(
        "coolthing_expired_messages", "Messages of work queues that were dropped because they expired", labels=["queue"]
    )
    rows = HandlingBucket.objects.filter(metric=work_tasks.EXPIRED).values_list("subscription", "count")
    for queue, count in sorted({**dict.fromkeys(topology.TASKS, 0), **dict(rows)}.items()):
        family.add_metric([queue], count)
    return family


def paused() -> Metric:
    family = GaugeMetricFamily("coolthing_queue_paused", "1 while the queue's consumers are paused", labels=["queue"])
    now = set(QueueControl.objects.filter(paused=True).values_list("queue", flat=True))
    for queue in sorted(topology.SERVICES):
        family.add_metric([queue], int(queue in now))
    return family


def histogram(name: str, metric: str, text: str) -> Metric:
    family = HistogramMetricFamily(name, text, labels=["subscription"])
    found: dict[str, dict[float, tuple[int, float]]] = defaultdict(dict)
    for row in HandlingBucket.objects.filter(metric=metric):
        found[row.subscription][row.bound] = (row.count, row.total)
    for subscription in sorted(found.keys() | topology.SUBSCRIPTIONS.keys()):
        counted = found[subscription]
        buckets, below = [], 0
        for bound in sorted(counted.keys() | set(timings.BOUNDS[metric])):
            below += counted.get(bound, (0, 0.0))[0]
            buckets.append((_bound_label(bound), float(below)))
        family.add_metric([subscription], buckets, sum(total for _, total in counted.values()))
    return family


def _bound_label(bound: float) -> str:
    return "+Inf" if bound == float("inf") else repr(bound)


def _head_ages() -> Metric:
    family = GaugeMetricFamily(
        "coolthing_queue_oldest_seconds",
        "Seconds for which the oldest message has been waiting, where known",
        labels=["queue"],
    )
    now = database_clock()
    for queue, samples in sorted(queue_stats.history(now).items()):
        age = queue_stats.head_age(samples, now)
        if age is not None:
            family.add_metric([queue], age.seconds)
    return family
