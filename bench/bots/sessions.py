"""Many sessions in one process: how soon they are there, what they weigh, and what they read."""

import time
from dataclasses import dataclass

from django.db.models import Sum

from bench.bots.company import KEYWORD, READERS, Company
from bench.bots.progress import rate
from bench.bots.telegram import Telegram
from bench.bots.worker import Spent, Worker
from bench.world import Trouble
from bots.models import Cursor
from parser.models import Hit

# Before the idle worker is watched: what the start has left behind is done by then.
SETTLE_SECONDS = 10.0
# Every so many messages say what the campaigns look for.
HIT_EVERY = 50
UPDATES_SECONDS = 180.0


@dataclass(frozen=True)
class Sessions:
    """`boot_seconds`: until the empty worker waits for bots. Connections are those while bots came online, percentages
    of one processor."""

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
    """Updates are there before the worker goes on, so that it alone decides how fast they are handled.

    Each message reaches READERS bots. All of them must have moved a cursor, and those with the keyword be a hit, once.
    """
    chats = [chat.telegram_id for chat in company.read_chats if chat.telegram_id is not None]
    messages = [
        (company.speakers[number % len(company.speakers)], chats[number % len(chats)], _text(number))
        for number in range(updates // READERS)
    ]
    before, hits = _read_so_far(), Hit.objects.count()
    worker.freeze()
    try:
        telegram.say(messages)
    finally:
        worker.thaw()
    meter = worker.meter()
    total = READERS * len(messages)
    per_second, handled = rate(lambda: _read_so_far() - before, total, seconds=UPDATES_SECONDS)
    spent = meter.spent()
    wanted = READERS * sum(KEYWORD in text for _, _, text in messages)
    found = Hit.objects.count() - hits
    if handled == total and found != wanted:
        raise Trouble(f"{found} hits, not {wanted}")
    if handled < total:
        raise Trouble(f"{handled} of {total} updates were handled in {UPDATES_SECONDS:.0f} s")
    return per_second, handled, spent


def _read_so_far() -> int:
    """A supergroup's ids are consecutive: cursors move by one a message."""
    return Cursor.objects.filter(peer_id__lt=0).aggregate(sum=Sum("last_message_id"))["sum"] or 0


def _text(number: int) -> str:
    if number % HIT_EVERY == 0:
        return f"Does anybody know a good {KEYWORD} who comes on Sundays? ({number})"
    return f"The weather is not what it was when we moved here, is it, at least not on day {number}"
