"""Measures how many lines of actors pass the gate, are sent and are settled per second."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.utils import timezone

from bench.bots.company import Company
from bench.bots.progress import rate
from bench.bots.telegram import Telegram
from bench.bots.worker import Worker
from bench.world import BenchError, wait_for
from bots.models import Delivery
from campaigns.services import campaign_pause, campaign_resume

State = Delivery.State
SETTLED_SECONDS = 60.0


@dataclass(frozen=True)
class Sending:
    start_seconds: float
    peak_rss_mb: float
    deliveries_per_second: float
    deliveries: int
    delivery_cpu_ms: float


def measure(worker: Worker, telegram: Telegram, company: Company, *, lines: int, seconds: float) -> Sending:
    """Resume the paused campaigns, whose plays wait at their first lines, and count the sent lines.

    Afterwards the sandbox must have received exactly the lines in the ledger, each of them once.
    """
    for campaign in company.campaigns:
        campaign_pause(campaign_id=campaign.pk)
    worker.start()
    starting = worker.bring_online(len(company.actors))
    began, meter = timezone.now(), worker.meter()
    total = lines * len(company.stage_chats)
    for campaign in company.campaigns:
        campaign_resume(campaign_id=campaign.pk)

    def sent() -> int:
        # Uses an index (Delivery.Meta), so that counting takes no time from what is measured.
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM bots_delivery WHERE state = %s"
                " AND (counted_at AT TIME ZONE 'UTC') >= (%s AT TIME ZONE 'UTC')",
                [State.SENT, began],
            )
            return int(cursor.fetchone()[0])

    per_second, _ = rate(sent, total, seconds=seconds)
    spent = meter.spent()
    for campaign in company.campaigns:
        campaign_pause(campaign_id=campaign.pk)
    wait_for(
        lambda: not Delivery.objects.filter(state=State.SENDING).exists(), what="end of the sending",
        seconds=SETTLED_SECONDS,
    )  # fmt: skip
    count = sent()
    _compare(telegram, began)
    worker.assert_healthy()
    return Sending(
        start_seconds=round(starting, 1),
        peak_rss_mb=worker.peak_rss_mb(),
        deliveries_per_second=round(per_second, 1),
        deliveries=count,
        delivery_cpu_ms=round(1000 * spent.worker / max(1, count), 2),
    )


def _compare(telegram: Telegram, began: datetime) -> None:
    sent = telegram.sent_by_accounts()
    telegram.assert_no_repeats(sent)
    rows = Delivery.objects.filter(counted_at__gte=began)
    ours = dict(rows.values_list("random_id", "state"))
    wrong = [state for state in ours.values() if state != State.SENT]
    if wrong:
        raise BenchError(f"{len(wrong)} deliveries were not sent, the first is {wrong[0]}")
    if sorted(ours) != sorted(entry["random_id"] for entry in sent):
        raise BenchError(f"the ledger has {len(ours)} lines, the sandbox received {len(sent)}")
