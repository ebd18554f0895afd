"""Measures how long a decision of the gate takes, in the product's claiming transaction."""

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from bench.bots.company import Company
from bench.bots.processes import cpu_seconds
from bench.world import BenchError
from bots.deliveries.claiming import due_keys, judge_batch
from bots.deliveries.outcomes import put_back
from bots.gate.budgets import BudgetBook
from bots.gate.facts import BotOwner, GateFacts, Key, gate_rows_lock, locked_deliveries
from bots.gate.rules import judge
from bots.gate.verdicts import Allow
from bots.models import Delivery
from bots.worker.leases import lease_release, lease_take
from messaging.database.clock import database_clock

OWNER = "the benchmark"
# Decisions that are not counted, because plans are not cached yet and connections are not warm.
WARM_UP = 20


@dataclass(frozen=True)
class Times:
    """Milliseconds per decision."""

    p50: float
    p99: float
    samples: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Times":
        values = sorted(value * 1000 for value in seconds)
        at = [values[min(len(values) - 1, int(len(values) * share))] for share in (0.5, 0.99)]
        return cls(round(at[0], 3), round(at[1], 3), len(values))


@dataclass(frozen=True)
class Processor:
    """Milliseconds of processor time per decision."""

    python: float
    database: float


@dataclass(frozen=True)
class Decisions:
    """`alone`: a single delivery, from the first fence to the verdict. `batched`: the same for a round of all bots,
    divided by the size of the batch. `claimed`: a single delivery is judged and claimed, with the commit.
    """

    alone: Times
    one_cpu_ms: Processor
    batched: Times
    batch_size: int
    claimed: Times


def measure(company: Company, samples: int) -> Decisions:
    # A worker does the same after its start, so that objects loaded by now are not collected again and again.
    gc.collect()
    gc.freeze()
    with _owned(company) as owners:
        now = database_clock()
        keys = due_keys(owners, skip=(), now=now)
        if not keys:
            raise BenchError("no delivery is due")
        # As the sender selects them for a round of all its bots.
        firsts = due_keys(owners, skip=(), first_only=list(owners), now=now)
        alone, processor = _each_alone(keys, owners, samples)
        batched = [_decide(firsts, owners) / len(firsts) for _ in range(samples // 4 + WARM_UP)]
        claimed = [_claim(key, owners) for key in islice(cycle(firsts), samples // 2 + WARM_UP)]
    return Decisions(Times.of(alone), processor, Times.of(batched[WARM_UP:]), len(firsts), Times.of(claimed[WARM_UP:]))


def _each_alone(keys: Sequence[Key], owners: dict[UUID, BotOwner], samples: int) -> tuple[list[float], Processor]:
    for key in islice(cycle(keys), WARM_UP):
        _decide([key], owners)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = int(cursor.fetchone()[0])
    began = time.process_time(), cpu_seconds(backend)
    seconds = [_decide([key], owners) for key in islice(cycle(keys), samples)]
    used = time.process_time() - began[0], cpu_seconds(backend) - began[1]
    return seconds, Processor(*(round(1000 * used_seconds / samples, 2) for used_seconds in used))


def _decide(keys: Sequence[Key], owners: dict[UUID, BotOwner]) -> float:
    """The seconds that judging takes. The transaction is rolled back."""
    with transaction.atomic():
        began = time.perf_counter()
        deliveries = locked_deliveries(keys, gate_rows_lock(keys), Delivery.State.QUEUED)
        book = BudgetBook(deliveries)
        policy = GateFacts(deliveries, owners, database_clock(), book)
        allowed = 0
        for delivery in deliveries:
            if isinstance(judge(policy.facts(delivery)), Allow):
                allowed += 1
                book.count(delivery)
        seconds = time.perf_counter() - began
        transaction.set_rollback(True)
    if not allowed:
        raise BenchError("the gate allowed nothing")
    return seconds


def _claim(key: Key, owners: dict[UUID, BotOwner]) -> float:
    began = time.perf_counter()
    batch = judge_batch([key], owners)
    seconds = time.perf_counter() - began
    if not batch.outgoing:
        raise BenchError(f"a delivery was not claimed: {batch}")
    put_back(batch.outgoing[0], "")
    return seconds


@contextmanager
def _owned(company: Company) -> Iterator[dict[UUID, BotOwner]]:
    """The actors, owned as by a worker in all of whose chats they are members."""
    chats = frozenset(chat.pk for chat in company.stage_chats)
    ttl, settings.LEASE_TTL_SECONDS = settings.LEASE_TTL_SECONDS, 3600
    leases = [lease_take(bot_id=bot.pk, owner=OWNER) for bot in company.actors]
    try:
        yield {lease.bot_id: BotOwner(lease.epoch, chats) for lease in leases if lease is not None}
    finally:
        settings.LEASE_TTL_SECONDS = ttl
        for lease in leases:
            if lease is not None:
                lease_release(bot_id=lease.bot_id, epoch=lease.epoch)
