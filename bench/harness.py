"""A run of the benchmark. The contenders' runs are interleaved, so that a slow minute slows all contenders."""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from bench import document, effect, payload, report
from bench.contenders import PEERS, Bounds, Contender
from bench.ours import OURS
from bench.world import BenchError, World

CONTENDERS: tuple[Contender, ...] = (*PEERS, *OURS)


@dataclass(frozen=True)
class Plan:
    """A thorough plan measures all peers with the database effect, and all variants of their workers.

    Other plans measure only Celery with the effect, and only the first variant of each peer, which is the best variant
    or close to it.
    """

    name: str
    runs: int
    bounds: Bounds
    thorough: bool


FULL = Plan("full", 3, Bounds(publish=3.0, drain=3.0, latency=5.0), thorough=True)
QUICK = Plan("quick", 1, Bounds(publish=0.6, drain=0.7, latency=1.2), thorough=False)


class Run:
    """Takes all measurements of a plan. A failed measurement is recorded in `failures`, and the others continue."""

    def __init__(self, world: World, plan: Plan, console: Console, only: Sequence[str] = ()) -> None:
        self._world, self._plan, self._console = world, plan, console
        self._contenders = [contender for contender in CONTENDERS if not only or contender.name in only]
        self.results = {contender.name: report.Figures(contender.title) for contender in CONTENDERS}
        self.failures: list[str] = []
        self._loads: list[float] = []

    def take(self) -> None:
        for number in range(1, self._plan.runs + 1):
            for contender in self._contenders:
                began = time.monotonic()
                self._loads.append(round(os.getloadavg()[0], 2))
                self._publish(contender)
                self._consume(contender)
                seconds = time.monotonic() - began
                self._console.print(
                    f"run {number} of {self._plan.runs}: {contender.title}, {seconds:.0f} s", style="dim"
                )

    def document(self) -> dict[str, Any]:
        about = {
            "runs": self._plan.runs,
            "seconds": asdict(self._plan.bounds),
            "message_bytes": payload.size(),
            "queue": "quorum, one node",
            **document.services(self._world),
            "load_1min": document.load(self._loads),
        }
        return report.document(self.results, mode=self._plan.name, about=about, reasons={}, failures=self.failures)

    def _publish(self, contender: Contender) -> None:
        try:
            self.results[contender.name].publish.append(contender.publish(self._world, self._plan.bounds))
        except BenchError as problem:
            self._failed(contender, "publish", problem)

    def _consume(self, contender: Contender) -> None:
        figures = self.results[contender.name]
        for effect_mode in self._effects(contender):
            first = effect_mode == contender.effects()[0]
            for variant in self._variants(contender):
                try:
                    rate, latency = contender.consume(
                        self._world, self._plan.bounds, variant, effect_mode, latency=first
                    )
                except BenchError as problem:
                    self._failed(contender, f"drain, {variant}, effect {effect_mode}", problem)
                    continue
                figures.drain.setdefault((variant, effect_mode), []).append(rate)
                if latency is not None:
                    figures.latency.setdefault(variant, []).append(latency)

    def _variants(self, contender: Contender) -> list[str]:
        variants = contender.variants()
        return variants if self._plan.thorough or contender in OURS else variants[:1]

    def _effects(self, contender: Contender) -> list[str]:
        modes = contender.effects()
        if self._plan.thorough:
            return modes
        wanted = {modes[0], effect.EFFECT} if contender.name == "celery_stock" else {modes[0]}
        return [mode for mode in modes if mode in wanted]

    def _failed(self, contender: Contender, what: str, problem: BenchError) -> None:
        text = str(problem).splitlines()[0] if str(problem) else "no reason given"
        self.failures.append(f"{contender.title}: {what}: {text}")
        self._console.print(f"  {what}: {problem}", style="yellow", markup=False, highlight=False)
