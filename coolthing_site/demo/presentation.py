"""Prints the demo's progress and its report."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from coolthing_site.demo import observe


def progress_line(people: dict[str, Any], now: dict[str, int]) -> str:
    figures = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in now.items())
    return f"  messages from people {people['said']} of {people['of']}, {figures}"


def progress_table(people: dict[str, Any], now: dict[str, int]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("messages from people", f"{people['said']} of {people['of']}")
    for title, lines in observe.lines_by_chat().items():
        table.add_row(f"play in {title}", f"{lines['said']} of {lines['planned']} lines")
    for name, count in now.items():
        table.add_row(name.replace("_", " "), str(count))
    return table


def print_report(console: Console, report: dict[str, Any]) -> None:
    """Print the report as a table, and then its problems."""
    table = Table(show_header=False, box=None, padding=(0, 2))
    scripts, leads, bus, ledger = report["scripts"], report["leads"], report["bus"], report["ledger"]
    for title, lines in scripts["by_chat"].items():
        table.add_row(f"lines sent in {title}", f"{lines['said']} of {lines['planned']}")
    table.add_row(
        "messages from people", f"{report['people']['said']}, of which {leads['expected_hits']} should be hits"
    )
    table.add_row("leads", f"{leads['created']} of {leads['expected']} expected: {_words(leads['by_state'])}")
    table.add_row("conversations by owner", _words(report["conversations"]))
    table.add_row("opt-outs", f"{report['opt_outs']['honoured']} of {report['opt_outs']['said']} honoured")
    table.add_row("events published", str(bus["published"]))
    for queue, expected in sorted(bus["expected_by_queue"].items()):
        dead = bus["dead_lettered_by_queue"].get(queue, 0)
        table.add_row(
            f"  {queue}", f"{bus['handled_by_queue'].get(queue, 0)} of {expected} handled, {dead} dead-lettered"
        )
    latency = report["latency_ms"]
    table.add_row("hit to lead", f"p50 {latency['hit_to_lead_p50']} ms, p99 {latency['hit_to_lead_p99']} ms")
    table.add_row("notifications", _words(report["notifications"]))
    table.add_row("deliveries", _words(report["deliveries"]))
    table.add_row(
        "sandbox and ledger",
        f"{ledger['matched']} messages match, {ledger['duplicates']} duplicates, "
        f"{len(ledger['missing']) + len(ledger['unexpected']) + len(ledger['different'])} differ",
    )
    table.add_row("time", f"{report['seconds']} s")
    console.print(table)
    for problem in report["problems"]:
        console.print(f"✗ {problem}", markup=False)
    console.print("✗ problems found" if report["problems"] else "✓ everything is as expected")


def write_report(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def _words(figures: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in figures.items()) or "none"
