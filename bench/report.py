"""The results of the bus's benchmark and their ratios, as a table and as JSON."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import effect
from bench.contenders import Latency
from bench.document import machine

CEILINGS = ("ceiling_wire", "ceiling_pika")
PEERS = ("aio_pika_plain", "celery_stock", "faststream_app", "taskiq_app", "dramatiq_app")
PACKAGES = (
    "celery",
    "kombu",
    "amqp",
    "aio-pika",
    "faststream",
    "taskiq",
    "taskiq-aio-pika",
    "dramatiq",
    "pika",
    "psycopg",
)
# Ratio → (what it compares, its target, whether a higher ratio is better).
RATIOS = {
    "publish_vs_celery": ("our relay's confirmed publishing / stock Celery's apply_async", 10.0, True),
    "publish_vs_ceiling": ("our relay's confirmed publishing / the faster of the ceilings", 0.4, True),
    "batch_drain_vs_best_peer": (
        "our batches, effect and ProcessedEvent committed / the best of the peers, no effect at all", 1.5, True,
    ),
    "single_drain_vs_celery": (
        "our single events, effect and ProcessedEvent committed / Celery's best pool, the effect alone", 1.0, True,
    ),
    "single_drain_vs_celery_once": ("as before, but Celery's task records the event as ours does", None, True),
    "latency_p99_vs_ceiling": ("commit → start of our handler, p99 at 200/s / the better of the ceilings", 3.0, False),
}  # fmt: skip


@dataclass
class Figures:
    """The measurements of a contender, one per run."""

    title: str
    publish: list[float] = field(default_factory=list)
    # (variant, effect) → rates; variant → latencies
    drain: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    latency: dict[str, list[Latency]] = field(default_factory=dict)

    def published(self) -> float | None:
        return median(self.publish) if self.publish else None

    def drained(self, effect_mode: str, variant: str = "") -> tuple[float, str] | None:
        """The best variant's median rate, and its name."""
        fitting = [
            (median(rates), name)
            for (name, mode), rates in self.drain.items()
            if rates and mode == effect_mode and variant in ("", name)
        ]
        return max(fitting) if fitting else None

    def latencies(self, variant: str = "") -> tuple[float, float] | None:
        """(p99, p50) of the best variant, medians over the runs."""
        fitting = [
            (median(run.p99 for run in runs), median(run.p50 for run in runs))
            for name, runs in self.latency.items()
            if runs and variant in ("", name)
        ]
        return min(fitting) if fitting else None

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "publish": {"median": self.published(), "runs": self.publish},
            "drain": [
                {"variant": name, "effect": mode, "median": median(rates) if rates else None, "runs": rates}
                for (name, mode), rates in self.drain.items()
            ],
            "latency_ms": [
                {
                    "variant": name,
                    "p50": median(run.p50 for run in runs),
                    "p99": median(run.p99 for run in runs),
                    "runs": [{"p50": run.p50, "p99": run.p99} for run in runs],
                }
                for name, runs in self.latency.items()
                if runs
            ],
        }


Results = dict[str, Figures]


def ratios(results: Results, reasons: dict[str, str]) -> dict[str, float | None]:
    """Every ratio of `RATIOS`; None if a figure is missing, with the reason in `reasons`."""
    none, once = effect.NONE, effect.ONCE
    ours_publish = results["ours_bus"].published()
    celery = results["celery_stock"]
    full = results["ours_full"]
    single, batched = full.drained(once, "single"), full.drained(once, "batched")
    ceilings = [results[name] for name in CEILINGS]
    peers = [drained[0] for name in PEERS if (drained := results[name].drained(none))]
    waits = [waited[0] for ceiling in ceilings if (waited := ceiling.latencies())]
    ours_wait = full.latencies("single")
    found = {
        "publish_vs_celery": _divide(ours_publish, celery.published()),
        "publish_vs_ceiling": _divide(
            ours_publish, max((ceiling.published() or 0.0 for ceiling in ceilings), default=0.0)
        ),
        "batch_drain_vs_best_peer": _divide(_first(batched), max(peers, default=0.0)),
        "single_drain_vs_celery": _divide(_first(single), _first(celery.drained(effect.EFFECT))),
        "single_drain_vs_celery_once": _divide(_first(single), _first(celery.drained(once))),
        "latency_p99_vs_ceiling": _divide(_first(ours_wait), min(waits, default=0.0)),
    }
    for name, value in found.items():
        if value is None:
            reasons.setdefault(name, "a figure that it needs was not measured in this run")
    return found


def document(
    results: Results, *, mode: str, about: dict[str, Any], reasons: dict[str, str], failures: list[str]
) -> dict[str, Any]:
    found = ratios(results, reasons)
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "mode": mode,
        **about,
        "machine": machine(PACKAGES),
        "ratios": found,
        "targets": {
            name: {"what": what, "target": target, "met": _met(found[name], target, more)}
            for name, (what, target, more) in RATIOS.items()
        },
        "reasons": {name: why for name, why in reasons.items() if found.get(name) is None},
        "failures": failures,
        "contenders": {name: figures.as_json() for name, figures in results.items()},
    }


def show(console: Console, results: Results, report: dict[str, Any]) -> None:
    table = Table(title=f"{report['message_bytes']} bytes, persistent, confirmed, quorum queue, acked after handling")
    for heading in ("", "publish/s", "drain/s", "drain/s with effect", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="left" if not heading else "right")
    for figures in results.values():
        for row in _rows(figures):
            table.add_row(*row)
    console.print(table)
    for name, (what, target, more) in RATIOS.items():
        value = report["ratios"][name]
        shown = f"{value:.2f}" if value is not None else f"none: {report['reasons'][name]}"
        wanted = "" if target is None else f" (wanted: at {'least' if more else 'most'} {target})"
        console.print(f"{name} = {shown}{wanted}\n    {what}", highlight=False)
    for failure in report["failures"]:
        console.print(f"not measured: {failure}", highlight=False, markup=False)


def _rows(figures: Figures) -> list[tuple[str, ...]]:
    """The rows of a contender, one per variant."""
    variants = list(dict.fromkeys(name for name, _ in figures.drain)) or [""]
    rows = []
    for number, variant in enumerate(variants):
        waited = figures.latencies(variant)
        effects = [
            f"{drained[0]:,.0f}{' +record' if mode == effect.ONCE else ''}"
            for mode in (effect.EFFECT, effect.ONCE)
            if (drained := figures.drained(mode, variant))
        ]
        plain = figures.drained(effect.NONE, variant)
        published = figures.published() if number == 0 else None
        rows.append(
            (
                f"{figures.title}, {variant}" if len(variants) > 1 else figures.title,
                f"{published:,.0f}" if published else "",
                f"{plain[0]:,.0f}" if plain else "",
                "\n".join(effects),
                f"{waited[1]:.1f}" if waited else "",
                f"{waited[0]:.1f}" if waited else "",
            )
        )
    return rows


def _first(pair: tuple[float, Any] | None) -> float | None:
    return pair[0] if pair else None


def _divide(value: float | None, by: float | None) -> float | None:
    return round(value / by, 3) if value is not None and by else None


def _met(value: float | None, target: float | None, more: bool) -> bool | None:
    if value is None or target is None:
        return None
    return value >= target if more else value <= target
