"""The contenders of the benchmark. Each peer is measured in processes of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench import effect, recorder
from bench.child import WARM_UP
from bench.world import POLL_SECONDS, BenchError, World, wait_for
from coolthing_site.processes.procfile import ProcessGroup

LATENCY_RATE = 200.0
# The share of first messages that are not measured, because caches and connections are cold.
LATENCY_WARM_UP = 0.1
# The rate of a drain is measured between these shares of the messages, without the start and the last few messages.
DRAIN_FROM, DRAIN_TO = 0.1, 0.98
START_SECONDS = 60.0
# A measurement that takes this many times as long as planned ends early. Its rate counts the messages up to then.
LATE = 2.0
QUEUE = "bench_queue"


@dataclass(frozen=True)
class Bounds:
    """The planned seconds of each measurement. The number of messages follows from the expected rates."""

    publish: float
    drain: float
    latency: float

    def count(self, rate: float, seconds: float) -> int:
        return max(300, int(rate * seconds))


@dataclass(frozen=True)
class Latency:
    """Milliseconds from the publisher's call (ours: from the commit) to the start of the handler."""

    p50: float
    p99: float

    @classmethod
    def of(cls, begun: dict[str, int], stamps: dict[Any, int]) -> "Latency":
        started = {str(key): at for key, at in stamps.items()}
        lost = begun.keys() - started.keys()
        if lost:
            raise BenchError(f"{len(lost)} of {len(begun)} messages were never handled")
        measured = list(begun.items())[int(len(begun) * LATENCY_WARM_UP) :]
        values = sorted((started[key] - at) / 1e6 for key, at in measured)
        return cls(values[len(values) // 2], values[min(len(values) - 1, int(len(values) * 0.99))])


@dataclass(frozen=True)
class Variant:
    """A way to run a worker. `hint`: about how many no-op messages it handles per second, only to plan their number."""

    name: str
    command: str
    hint: float


class Contender(Protocol):
    name: str
    title: str

    def publish(self, world: World, bounds: Bounds) -> float: ...

    def variants(self) -> list[str]: ...

    def effects(self) -> list[str]: ...

    def consume(
        self, world: World, bounds: Bounds, variant: str, effect_mode: str, latency: bool
    ) -> tuple[float, Latency | None]: ...


@dataclass(frozen=True)
class Peer:
    name: str
    title: str
    publish_hint: float
    workers: tuple[Variant, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    effect_modes: tuple[str, ...] = (effect.NONE, effect.EFFECT)

    def variants(self) -> list[str]:
        return [worker.name for worker in self.workers]

    def effects(self) -> list[str]:
        return list(self.effect_modes)

    def publish(self, world: World, bounds: Bounds) -> float:
        """Confirmed publishes per second, from one process."""
        count = bounds.count(self.publish_hint, bounds.publish)
        world.fresh_queue(QUEUE, self.arguments)
        answer = self._child(world, "publish", str(count), str(LATE * bounds.publish))
        measured = json.loads(answer.splitlines()[-1])
        arrived = world.ready(QUEUE)
        if arrived != measured["count"] + WARM_UP:
            raise BenchError(f"{self.name}: {arrived} messages arrived, not {measured['count'] + WARM_UP}")
        return measured["count"] / measured["seconds"]

    def consume(
        self, world: World, bounds: Bounds, variant: str, effect_mode: str, latency: bool
    ) -> tuple[float, Latency | None]:
        """The handled messages per second of a full queue, and then the latency at a low rate."""
        worker = next(worker for worker in self.workers if worker.name == variant)
        world.fresh_queue(QUEUE, self.arguments)
        self._child(world, "publish", "1", "1")
        template = world.template(QUEUE)
        world.purge(QUEUE)
        share = 1.0 if effect_mode == effect.NONE else 0.6
        count = bounds.count(worker.hint * share, bounds.drain)
        world.fill(template, count)
        records = world.records()
        with world.processes(world.environment(QUEUE, records, effect_mode)) as processes:
            processes.start("worker", worker.command)
            drained = drain(records, count, processes, bounds)
            if not drained.complete:
                world.purge(QUEUE)
            measured = self._latency(world, bounds, records) if latency else None
        left = world.ready(QUEUE)
        if left:
            raise BenchError(f"{self.name}: {left} messages were handled and not acknowledged")
        return drained.rate, measured

    def _latency(self, world: World, bounds: Bounds, records: Path) -> Latency:
        count = int(LATENCY_RATE * bounds.latency)
        sent = world.directory / "sent.json"
        self._child(world, "pace", str(LATENCY_RATE), str(count), str(sent))
        begun = json.loads(sent.read_text())
        await_stamps(records, len(begun))
        return Latency.of(begun, recorder.stamps(records))

    def _child(self, world: World, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "bench.child", f"bench.peers.{self.name}", *arguments],
            env=world.environment(QUEUE, world.directory, effect.NONE),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"{self.name} {arguments[0]}: {done.stderr[-2000:]}")
        return done.stdout


@dataclass(frozen=True)
class Drain:
    """Handled messages per second; `complete` if the queue became empty in time."""

    rate: float
    complete: bool


def drain(records: Path, count: int, processes: ProcessGroup, bounds: Bounds) -> Drain:
    """Measure how a worker that has just started empties a queue of `count` messages."""

    def handled(share: float) -> Callable[[], bool]:
        return lambda: recorder.total(records) >= share * count

    wait_for(handled(1 / count), what="first message", seconds=START_SECONDS, processes=processes)
    reached(handled(DRAIN_FROM), bounds.drain * LATE, processes)
    first, began = recorder.total(records), time.monotonic()
    in_time = reached(handled(DRAIN_TO), bounds.drain * LATE, processes)
    last, ended = recorder.total(records), time.monotonic()
    complete = in_time and reached(handled(1.0), bounds.drain * LATE, processes)
    return Drain((last - first) / (ended - began), complete)


def reached(condition: Callable[[], bool], seconds: float, processes: ProcessGroup) -> bool:
    """Whether the condition became true in time. Raises BenchError if a process has ended."""
    deadline = time.monotonic() + seconds
    while not condition():
        if processes.ended():
            wait_for(condition, what="living worker", seconds=0, processes=processes)
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def await_stamps(records: Path, count: int) -> None:
    """Wait until `count` handlers have started, or for 10 seconds. The caller checks for missing messages."""
    try:
        wait_for(lambda: len(recorder.stamps(records)) >= count, what="handled messages", seconds=10)
    except BenchError:
        pass


def python(module: str) -> str:
    return f"python -m bench.child bench.peers.{module} consume"


PEERS: tuple[Peer, ...] = (
    Peer(
        "ceiling_wire",
        "ceiling: AMQP by hand",
        20_000,
        (Variant("1 process", python("ceiling_wire"), 50_000),),
        effect_modes=(effect.NONE,),
    ),
    Peer(
        "ceiling_pika",
        "ceiling: pika, callbacks",
        15_000,
        (Variant("1 process", python("ceiling_pika"), 10_000),),
        effect_modes=(effect.NONE,),
    ),
    Peer("aio_pika_plain", "plain aio-pika", 1_000, (Variant("1 process", python("aio_pika_plain"), 4_000),)),
    Peer(
        "celery_stock",
        "Celery apply_async",
        600,
        (
            Variant("threads", "celery -A bench.peers.celery_stock worker -P threads -c 8 -l WARNING", 2_000),
            Variant("prefork", "celery -A bench.peers.celery_stock worker -P prefork -c 2 -l WARNING", 1_600),
        ),
        effect_modes=(effect.NONE, effect.EFFECT, effect.ONCE),
    ),
    Peer(
        "faststream_app",
        "FastStream",
        800,
        (
            Variant("1 process", "faststream run bench.peers.faststream_app:app", 2_700),
            Variant("2 processes", "faststream run --workers 2 bench.peers.faststream_app:app", 3_000),
        ),
    ),
    Peer(
        "taskiq_app",
        "taskiq-aio-pika",
        900,
        (Variant("2 processes", "taskiq worker --workers 2 --log-level WARNING bench.peers.taskiq_app:broker", 2_000),),
        arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "taskiq.dead_letter"},
    ),
    Peer(
        "dramatiq_app",
        "dramatiq",
        1_000,
        (Variant("2 × 8 threads", "dramatiq --processes 2 --threads 8 bench.peers.dramatiq_app", 5_000),),
        arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{QUEUE}.XQ"},
    ),
)
