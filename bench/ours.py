"""Our contenders: the product's relay, and workers as the Procfile runs them, with subscriptions of the benchmark."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from django.conf import settings
from django.db import transaction

from bench import effect, ours_app, recorder
from bench.child import WARM_UP
from bench.contenders import LATE, LATENCY_RATE, START_SECONDS, Bounds, Latency, await_stamps, drain, reached
from bench.payload import payload
from bench.world import BenchError, World, wait_for
from coolthing_site.processes.procfile import ProcessGroup, procfile
from messaging.broker import declare
from messaging.publishing.outbox import publish_on_commit

# Expected rates per second, only to plan the number of messages.
HINTS = {"noop": 2_000, "single": 900, "batched": 8_000}
RELAY_HINT, COMMIT_HINT = 9_000, 500
_PREPARE_AT_ONCE = 2_000
_WAITING = "published_at IS NULL AND parked_at IS NULL"


def worker_command(lane: str) -> str:
    """The Procfile's line for leads, with the benchmark's app and queue and the product's options."""
    line = procfile()["leads"]
    wanted = {"coolthing_site": "bench.ours_app", "leads_queue": ours_app.queue_name(lane), "leads@%h": "bench@%h"}
    for old, new in wanted.items():
        if old not in line:
            raise BenchError(f"the Procfile's line for leads has no {old!r}: {line}")
        line = line.replace(old, new)
    return line


@dataclass(frozen=True)
class Ours:
    """`lanes` are subscriptions of bench.ours_app. If `full`, the publisher also has an effect of its own."""

    name: str
    title: str
    lanes: tuple[str, ...]
    full: bool

    def variants(self) -> list[str]:
        return list(self.lanes)

    def effects(self) -> list[str]:
        return [self._mode]

    @property
    def _mode(self) -> str:
        return effect.ONCE if self.full else effect.NONE

    def publish(self, world: World, bounds: Bounds) -> float:
        """Confirmed rows of the outbox per second."""
        lane = self.lanes[0]
        _prepare(world, lane)
        with world.processes(world.site_environment(world.records())) as processes:
            _start_relay(processes)
            rate, count = (self._commits if self.full else self._prepared)(world, bounds, lane, processes)
        arrived = world.ready(ours_app.queue_name(lane))
        if arrived < count:
            raise BenchError(f"{self.name}: {arrived} messages arrived, not {count}")
        return rate

    def consume(
        self, world: World, bounds: Bounds, variant: str, effect_mode: str, latency: bool
    ) -> tuple[float, Latency | None]:
        _prepare(world, variant)
        queue = ours_app.queue_name(variant)
        count = bounds.count(HINTS[variant], bounds.drain)
        records = world.records()
        with world.processes(world.site_environment(records)) as processes:
            _start_relay(processes)
            with transaction.atomic():
                publish_on_commit(_event(variant))
            wait_for(lambda: world.ready(queue) == 1, what="event in the queue", seconds=10, processes=processes)
            world.fill(world.template(queue), count)
            processes.start("worker", worker_command(variant))
            drained = drain(records, count, processes, bounds)
            if not drained.complete:
                world.purge(queue)
            measured = self._latency(world, bounds, variant, records) if latency else None
        left = world.ready(queue)
        if left and drained.complete:
            raise BenchError(f"{self.name}: {left} messages were handled and not acknowledged")
        if self.full:
            _check_effects(world, recorder.total(records))
        return drained.rate, measured

    def _prepared(self, world: World, bounds: Bounds, lane: str, processes: ProcessGroup) -> tuple[float, int]:
        """Publish rows that all become visible with one commit. The clock starts after the commit."""
        count = bounds.count(RELAY_HINT, bounds.publish)
        with transaction.atomic():
            for begin in range(0, count, _PREPARE_AT_ONCE):
                publish_on_commit(*(_event(lane) for _ in range(min(_PREPARE_AT_ONCE, count - begin))))
        began = time.monotonic()
        published = count - _await_published(world, processes, LATE * bounds.publish)
        return published / (time.monotonic() - began), published

    def _commits(self, world: World, bounds: Bounds, lane: str, processes: ProcessGroup) -> tuple[float, int]:
        """Publish while a process commits transactions of one event and one effect each."""
        count = bounds.count(COMMIT_HINT, bounds.publish)
        answer = _application(world, "commit", lane, self._mode, count, LATE * bounds.publish)
        measured = json.loads(answer.splitlines()[-1])
        left = _await_published(world, processes, LATE * bounds.publish)
        return (measured["count"] - left) / (time.monotonic() - measured["began"]), measured["count"] + WARM_UP - left

    def _latency(self, world: World, bounds: Bounds, lane: str, records: Path) -> Latency:
        count = int(LATENCY_RATE * bounds.latency)
        sent = world.directory / "sent.json"
        _application(world, "pace", lane, self._mode, LATENCY_RATE, count, sent)
        begun = json.loads(sent.read_text())
        await_stamps(records, len(begun))
        return Latency.of(begun, recorder.stamps(records))


OURS = (
    Ours("ours_bus", "ours, the bus alone", ("noop",), full=False),
    Ours("ours_full", "ours, full guarantee", ("single", "batched"), full=True),
)


def _prepare(world: World, lane: str) -> None:
    world.execute("TRUNCATE messaging_outboxevent, messaging_processedevent, bench_effect")
    declare.declare()
    declare.declare(ours_app.TOPOLOGY)
    world.purge(ours_app.queue_name(lane))


def _start_relay(processes: ProcessGroup) -> None:
    processes.start("relay", "python manage.py relay_events")
    wait_for(
        lambda: "relay: publishing" in processes.tail("relay"),
        what="publishing relay",
        seconds=START_SECONDS,
        processes=processes,
    )


def _event(lane: str) -> ours_app.BenchHappened:
    return ours_app.BenchHappened.model_validate(payload(lane))


def _await_published(world: World, processes: ProcessGroup, seconds: float) -> int:
    """Wait until all rows are confirmed. Returns the number of rows that are left when the time is over."""
    with psycopg.connect(world.database_url, autocommit=True) as connection:

        def left(most: int) -> int:
            rows = f"SELECT 1 FROM messaging_outboxevent WHERE {_WAITING} LIMIT {most}"
            row = connection.execute(f"SELECT count(*) FROM ({rows}) waiting").fetchone()
            return int(row[0]) if row else 0

        in_time = reached(lambda: left(1) == 0, seconds, processes)
        return 0 if in_time else left(1_000_000)


def _check_effects(world: World, handled: int) -> None:
    """Check that each event was handled exactly once, by its record and its effect."""
    ((records, events, effects),) = world.execute(
        "SELECT count(*), count(DISTINCT event_id),"
        " (SELECT count(*) FROM bench_effect JOIN messaging_processedevent USING (event_id))"
        " FROM messaging_processedevent"
    )
    if not records == events == handled <= effects:
        raise BenchError(f"{handled} handled, {records} records of {events} events, {effects} effects")


def _application(world: World, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench.ours_publisher", *map(str, arguments)],
        env=world.site_environment(world.directory),
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"our publisher: {done.stderr[-2000:]}")
    return done.stdout
