"""A run of the bots' benchmark: it fills a large ledger, and then takes the measurements one after another."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from rich.console import Console

from bench import document
from bench.bots import company as people
from bench.bots import decisions, ledger, reading, report, sending, sessions
from bench.bots import readers as market
from bench.bots.telegram import Telegram
from bench.bots.worker import Worker
from bench.world import BenchError, World
from coolthing_site.processes.procfile import ProcessGroup
from messaging.broker import declare

Measured = TypeVar("Measured")


@dataclass(frozen=True)
class Plan:
    """`lines` per play, `samples` of decisions, `stream` updates for the worker and for Telethon alone.

    Sending is measured for at most `sending_seconds`.
    """

    name: str
    sessions: int
    rows: int
    idle_seconds: float
    updates: int
    stream: int
    lines: int
    sending_seconds: float
    samples: int


FULL = Plan(
    "full", sessions=200, rows=1_000_000, idle_seconds=60.0, updates=8_000, stream=20_000, lines=30,
    sending_seconds=60.0, samples=2_000,
)  # fmt: skip
QUICK = Plan(
    "quick", sessions=40, rows=100_000, idle_seconds=10.0, updates=1_200, stream=6_000, lines=10, sending_seconds=10.0,
    samples=300,
)  # fmt: skip


class Run:
    """Takes all measurements of a plan. A failed measurement is recorded in `failures`, and the others continue."""

    def __init__(self, world: World, plan: Plan, console: Console) -> None:
        self._world, self._plan, self._console = world, plan, console
        self.results = report.Results()
        self.failures: list[str] = []
        self._loads: list[float] = []

    def take(self) -> None:
        plan, results = self._plan, self.results
        declare.declare()
        telegram = Telegram(self._world.directory)
        company = self._step("people", lambda: people.gather(telegram, sessions=plan.sessions, lines=plan.lines))
        readers = self._step("readers", lambda: market.gather(telegram))
        if company is None or readers is None:
            return
        self._step(f"{plan.rows:,} deliveries", lambda: ledger.grow(company, plan.rows))
        self._step("tidying", ledger.tidy)
        results.decisions = self._step("decisions", lambda: decisions.measure(company, plan.samples))
        environment = {
            **self._world.site_environment(),
            **telegram.environment,
            "BOTS_PER_WORKER": str(plan.sessions),
        }
        with self._world.processes(environment) as processes:
            telegram.start(processes)
            results.sessions = self._step("sessions", lambda: self._sessions(processes, telegram, company))
            results.reading = self._step("reading", lambda: self._reading(processes, telegram, readers))
            results.sending = self._step("sending", lambda: self._sending(processes, telegram, company))

    def document(self) -> dict[str, Any]:
        about = {
            "sessions": self._plan.sessions,
            "gate_rows": self._plan.rows,
            **document.services(self._world),
            "load_1min": document.load(self._loads),
        }
        return report.document(self.results, mode=self._plan.name, about=about, failures=self.failures)

    def _sessions(self, processes: ProcessGroup, telegram: Telegram, company: people.Company) -> sessions.Sessions:
        worker, plan = Worker(processes, "parser"), self._plan
        measured = sessions.measure(worker, telegram, company, idle_seconds=plan.idle_seconds, updates=plan.updates)
        worker.stop()
        return measured

    def _reading(self, processes: ProcessGroup, telegram: Telegram, readers: market.Readers) -> reading.Reading:
        worker, updates = Worker(processes, "parser"), self._plan.stream
        return reading.measure(worker, processes, telegram, readers, updates=updates, directory=self._world.directory)

    def _sending(self, processes: ProcessGroup, telegram: Telegram, company: people.Company) -> sending.Sending:
        worker, plan = Worker(processes, "actor"), self._plan
        measured = sending.measure(worker, telegram, company, lines=plan.lines, seconds=plan.sending_seconds)
        worker.stop()
        return measured

    def _step(self, what: str, work: Callable[[], Measured]) -> Measured | None:
        began = time.monotonic()
        self._loads.append(round(os.getloadavg()[0], 2))
        try:
            return work()
        except BenchError as problem:
            self.failures.append(f"{what}: {str(problem).splitlines()[0]}")
            self._console.print(f"  {what}: {problem}", style="yellow", markup=False, highlight=False)
            return None
        finally:
            self._console.print(f"{what}: {time.monotonic() - began:.0f} s", style="dim")
