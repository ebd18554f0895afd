"""Prometheus metrics of bots, read from the database at each scrape."""

from collections.abc import Iterator

from django.db.models import Count, Sum
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bots.models import Bot, Cursor, Delivery, Role


class BotsCollector(Collector):
    def collect(self) -> Iterator[Metric]:
        yield bots()
        yield unknown_deliveries()
        yield from gaps()

    def describe(self) -> list[Metric]:
        """Empty, so that registering the collector makes no database queries."""
        return []


def bots() -> Metric:
    family = GaugeMetricFamily("coolthing_bots", "Bots by role and state", labels=["role", "state"])
    counted = Bot.objects.values_list("role", "state").annotate(n=Count("id")).order_by()
    found = {(role, state): count for role, state, count in counted}
    for role in Role.values:
        for state in Bot.State.values:
            family.add_metric([role, state], found.get((role, state), 0))
    return family


def unknown_deliveries() -> Metric:
    count = Delivery.objects.filter(state=Delivery.State.UNKNOWN).count()
    return GaugeMetricFamily(
        "coolthing_deliveries_unknown", "Deliveries that an operator must mark as sent or not sent", count
    )


def gaps() -> Iterator[Metric]:
    """The gaps in live messages by role. When a bot is deleted, its cursors' counts disappear from the sums;
    Prometheus treats that as a reset of the counter.
    """
    gap_counts = CounterMetricFamily("coolthing_cursor_gaps", "Gaps in the live messages of chats", labels=["role"])
    messages = CounterMetricFamily(
        "coolthing_cursor_gap_messages",
        "Message ids in those gaps, which were read from the history instead",
        labels=["role"],
    )
    sums = Cursor.objects.filter(gaps__gt=0).values_list("bot__role").annotate(Sum("gaps"), Sum("gap_messages"))
    found = {role: (count, ids) for role, count, ids in sums.order_by()}
    for role in Role.values:
        count, ids = found.get(role, (0, 0))
        gap_counts.add_metric([role], count)
        messages.add_metric([role], ids)
    yield from (gap_counts, messages)
