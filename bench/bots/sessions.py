"""Measures many sessions in one process: how fast they start, how much memory they use, and how fast they read."""

import time
from dataclasses import dataclass

from django.db.models import Sum

from bench.bots.company import KEYWORD, READERS, Company
from bench.bots.progress import rate
from bench.bots.telegram import Telegram
from bench.bots.worker import Spent, Worker
from bench.world import BenchError
from bots.models import Cursor
from parser.models import Hit

# The wait before the idle worker is measured, so that work left over from the start is done.
SETTLE_SECONDS = 10.0
# One in so many messages contains the campaigns' keyword.
HIT_EVERY = 50
UPDATES_SECONDS = 180.0


@dataclass(frozen=True)
class Sessions:
    """`boot_seconds`: until the empty worker waits for bots. The connections were counted while the bots came online.
    Percentages are of one processor.
    """

    boot_seconds: float
    start_seconds: float
    empty_rss_mb: float
    rss_mb: float
    peak_rss_mb: float
    threads: int
    most_database_connections: int
    idle_cpu_percent: float
    updates_per_second: float
    updates: int
    update_cpu_ms: float


def measure(worker: Worker, telegram: Telegram, company: Company, *, idle_seconds: float, updates: int) -> Sessions:
    count = len(company.parsers)
    boot_seconds = worker.start()
    empty = worker.rss_mb()
    starting = worker.bring_online(count)
    time.sleep(SETTLE_SECONDS)
    idle = _idle(worker, idle_seconds)
    rss = worker.rss_mb()
    reading, handled, spent = _read(worker, telegram, company, updates)
    worker.assert_healthy()
    return Sessions(
        boot_seconds=round(boot_seconds, 1),
        start_seconds=round(starting, 1),
        empty_rss_mb=empty,
        rss_mb=rss,
        peak_rss_mb=worker.peak_rss_mb(),
        threads=worker.threads(),
        most_database_connections=worker.most_connections,
        idle_cpu_percent=round(100 * idle.worker / idle.seconds, 1),
        updates_per_second=round(reading, 1),
        updates=handled,
        update_cpu_ms=round(1000 * spent.worker / max(1, handled), 2),
    )


def _idle(worker: Worker, seconds: float) -> Spent:
    meter = worker.meter()
    time.sleep(seconds)
    return meter.spent()


def _read(worker: Worker, telegram: Telegram, company: Company, updates: int) -> tuple[float, int, Spent]:
    """Send all messages while the worker is frozen, so that only the worker limits the rate of updates.

    Each message reaches READERS bots. It must move the cursors of all, and be a hit once if it has the keyword.
    """
    chats = [chat.telegram_id for chat in company.read_chats if chat.telegram_id is not None]
    messages = [
        (company.senders[number % len(company.senders)], chats[number % len(chats)], _text(number))
        for number in range(updates // READERS)
    ]
    before, hits = _read_so_far(), Hit.objects.count()
    worker.freeze()
    try:
        telegram.send(messages)
    finally:
        worker.thaw()
    meter = worker.meter()
    total = READERS * len(messages)
    per_second, handled = rate(lambda: _read_so_far() - before, total, seconds=UPDATES_SECONDS)
    spent = meter.spent()
    wanted = READERS * sum(KEYWORD in text for _, _, text in messages)
    found = Hit.objects.count() - hits
    if handled == total and found != wanted:
        raise BenchError(f"{found} hits, not {wanted}")
    if handled < total:
        raise BenchError(f"{handled} of {total} updates were handled in {UPDATES_SECONDS:.0f} s")
    return per_second, handled, spent


def _read_so_far() -> int:
    """A supergroup's ids are consecutive: each message moves a cursor by one."""
    return Cursor.objects.filter(peer_id__lt=0).aggregate(sum=Sum("last_message_id"))["sum"] or 0


def _text(number: int) -> str:
    if number % HIT_EVERY == 0:
        return f"Does anybody know a good {KEYWORD} who comes on Sundays? ({number})"
    return f"The weather is not what it was when we moved here, is it, at least not on day {number}"
