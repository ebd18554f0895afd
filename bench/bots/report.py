"""The results of the bots' benchmark and their targets, as a table and as JSON."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.bots.decisions import Decisions, Times
from bench.bots.reading import Reading
from bench.bots.sending import Sending
from bench.bots.sessions import Sessions
from bench.document import machine

PACKAGES = ("Telethon", "cryptg", "Django", "psycopg", "celery")
# Figure → (description, upper limit), for the sessions and rows of the plan FULL.
TARGETS = {
    "rss_mb": ("peak MiB of one bots worker with all its sessions live", 1024.0),
    "update_cpu_ratio": ("processor time per update, as a multiple of Telethon's alone on the same updates", 4.0),
    "gate_p99_ms": ("ms from the first fence to the verdict, one delivery, p99", 5.0),
}


@dataclass
class Results:
    """The measurements; None if a measurement was not taken."""

    decisions: Decisions | None = None
    sessions: Sessions | None = None
    reading: Reading | None = None
    sending: Sending | None = None


def document(results: Results, *, mode: str, about: dict[str, Any], failures: list[str]) -> dict[str, Any]:
    figures = _figures(results, about["sessions"])
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "mode": mode,
        **about,
        **figures,
        "machine": machine(PACKAGES),
        "targets": {
            name: {"what": what, "most": most, "met": None if figures[name] is None else figures[name] <= most}
            for name, (what, most) in TARGETS.items()
        },
        "failures": failures,
        "details": _details(results),
    }


def _details(results: Results) -> dict[str, Any]:
    """All measurements. The keys `one` and `speaking` are older than the names in the code."""
    decisions = asdict(results.decisions) if results.decisions else None
    return {
        "decisions": None if decisions is None else {"one": decisions.pop("alone"), **decisions},
        "sessions": asdict(results.sessions) if results.sessions else None,
        "reading": asdict(results.reading) if results.reading else None,
        "speaking": asdict(results.sending) if results.sending else None,
    }


def _figures(results: Results, count: int) -> dict[str, Any]:
    """The main figures; None for a figure that was not measured."""
    here, sending, gate, reading = results.sessions, results.sending, results.decisions, results.reading
    peaks = [part.peak_rss_mb for part in (here, sending) if part]
    return {
        "rss_mb": max(peaks) if here and peaks else None,
        "rss_mb_per_session": round((here.rss_mb - here.empty_rss_mb) / count, 2) if here else None,
        "idle_cpu_percent": here.idle_cpu_percent if here else None,
        "idle_cpu_percent_per_session": round(here.idle_cpu_percent / count, 3) if here else None,
        "start_seconds": here.start_seconds if here else None,
        "updates_per_second": here.updates_per_second if here else None,
        "update_cpu_ms": reading.update_cpu_ms if reading else None,
        "bare_update_cpu_ms": reading.bare_update_cpu_ms if reading else None,
        "update_cpu_ratio": reading.update_cpu_ratio if reading else None,
        "deliveries_per_second": sending.deliveries_per_second if sending else None,
        "gate_p50_ms": gate.alone.p50 if gate else None,
        "gate_p99_ms": gate.alone.p99 if gate else None,
        "gate_p99_ms_batched": gate.batched.p99 if gate else None,
        "claim_p99_ms": gate.claimed.p99 if gate else None,
    }


def show(console: Console, results: Results, report: dict[str, Any]) -> None:
    title = f"{report['sessions']} sessions in one process, {report['gate_rows']:,} deliveries in the ledger"
    table = Table("", "", title=title, show_header=False)
    table.columns[1].justify = "right"
    rows = [*_of_sessions(results.sessions), *_of_reading(results.reading), *_of_sending(results.sending)]
    for what, value in [*rows, *_of_gate(results.decisions)]:
        table.add_row(what, value)
    console.print(table)
    for name, target in report["targets"].items():
        met = {True: "met", False: "missed", None: "not measured"}[target["met"]]
        console.print(f"{name} = {report[name]} (wanted: at most {target['most']:g}): {met}", highlight=False)
    for failure in report["failures"]:
        console.print(f"not measured: {failure}", highlight=False, markup=False)


def _of_sessions(found: Sessions | None) -> list[tuple[str, str]]:
    if found is None:
        return []
    return [
        ("start of the empty worker", f"{found.boot_seconds:.1f} s"),
        ("all parsers online after", f"{found.start_seconds:.1f} s"),
        (
            "memory: empty, all online, peak",
            f"{found.empty_rss_mb:.0f}, {found.rss_mb:.0f}, {found.peak_rss_mb:.0f} MiB",
        ),
        ("threads; connections to the database", f"{found.threads}; {found.most_database_connections}"),
        ("processor while idle, of one processor", f"{found.idle_cpu_percent:.1f} %"),
        ("updates handled", f"{found.updates_per_second:,.0f} /s"),
        ("processor time per update", f"{found.update_cpu_ms:.2f} ms"),
    ]


def _of_reading(found: Reading | None) -> list[tuple[str, str]]:
    if found is None:
        return []
    return [
        (
            "updates of a stream: here, Telethon alone",
            f"{found.updates_per_second:,.0f}, {found.bare_updates_per_second:,.0f} /s",
        ),
        ("their processor time", f"{found.update_cpu_ms:.3f}, {found.bare_update_cpu_ms:.3f} ms"),
    ]


def _of_sending(found: Sending | None) -> list[tuple[str, str]]:
    if found is None:
        return []
    return [
        ("all actors online after", f"{found.start_seconds:.1f} s"),
        ("deliveries judged, sent and settled", f"{found.deliveries_per_second:,.0f} /s"),
        ("processor time per delivery", f"{found.delivery_cpu_ms:.2f} ms"),
    ]


def _of_gate(found: Decisions | None) -> list[tuple[str, str]]:
    if found is None:
        return []
    return [
        ("a single decision, p50 and p99", _ms(found.alone)),
        ("its processor time: here, PostgreSQL", f"{found.one_cpu_ms.python:.2f}, {found.one_cpu_ms.database:.2f} ms"),
        (f"a decision in a batch of {found.batch_size}", _ms(found.batched)),
        ("a single claim, with its commit", _ms(found.claimed)),
    ]


def _ms(times: Times) -> str:
    return f"{times.p50:.2f}, {times.p99:.2f} ms"
