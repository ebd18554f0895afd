"""`python -m bench.match [--quick]`: measure the matching of messages with keywords."""

import argparse
import resource
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import document
from bench.match import corpus, measuring, memory

RESULT = Path(__file__).parents[1] / "results" / "match.json"
PACKAGES = ("pymorphy3", "simplemma", "marisa-trie", "pyahocorasick", "PyStemmer", "wordfreq")
# Figure → (what it is, the limit, whether it is a lower limit).
TARGETS = {
    "vs_original": ("ours / per campaign: split, stem, intersect; all campaigns", 500.0, True),
    "vs_ahocorasick": ("ours / pyahocorasick over raw text that returns campaigns and keywords", 0.3, True),
    "messages_per_second_10_campaigns": ("messages per second of processor time, caches warm", 30_000.0, True),
    "cold_messages_per_second": ("the same with empty caches", 5_000.0, True),
    "build_seconds_20k_terms": ("seconds to compile all keywords from nothing", 30.0, False),
    "rebuild_ms_one_campaign": ("ms to replace one campaign's keywords by new ones", 300.0, False),
    "memory_mb": ("MiB of all languages' dictionaries in one process", 150.0, False),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-match", description="Measure the matching of keywords.")
    parser.add_argument("--quick", action="store_true", help="fewer messages; no file")
    parser.add_argument("--output", type=Path, default=None, help=f"the JSON file (default: {RESULT})")
    options = parser.parse_args()
    measured = _measure(measuring.QUICK if options.quick else measuring.FULL)
    _show(Console(width=110 if not sys.stdout.isatty() else None), measured)
    path = options.output or (None if options.quick else RESULT)
    if path is not None:
        document.write(path, measured)
    return 0


def _measure(plan: measuring.Plan) -> dict[str, Any]:
    keywords = corpus.keywords(measuring.CAMPAIGNS, measuring.TERMS, seed=1)
    builds, sets = measuring.builds(keywords)
    speeds = measuring.speeds(keywords, sets, plan)
    used = memory.figures()
    figures = {
        "vs_original": speeds.all_warm / speeds.original,
        "vs_regex": speeds.all_warm / speeds.regex,
        "vs_ahocorasick": speeds.all_warm / speeds.ahocorasick,
        "vs_ahocorasick_raw": speeds.all_warm / speeds.ahocorasick_raw,
        "messages_per_second_10_campaigns": speeds.few_warm,
        "cold_messages_per_second": speeds.few_cold,
        "hits_per_message_10_campaigns": speeds.hits_few,
        "hits_per_message_all_campaigns": speeds.hits_all,
        "build_seconds_20k_terms": builds.all_seconds,
        "rebuild_ms_one_campaign": builds.one_ms,
        "memory_mb": used["all_languages"],
    }
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        **{name: round(value, 4) for name, value in figures.items()},
        "targets": {
            name: {"what": what, "limit": limit, "met": figures[name] >= limit if lower else figures[name] <= limit}
            for name, (what, limit, lower) in TARGETS.items()
        },
        "worst_cases": measuring.worst_cases(),
        "machine": document.machine(PACKAGES),
        "details": {
            "speeds": asdict(speeds),
            "keys": builds.keys,
            "memory": used,
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        },
    }


def _show(console: Console, measured: dict[str, Any]) -> None:
    table = Table("figure", "measured", "limit", "what")
    for name, target in measured["targets"].items():
        value = f"{measured[name]:,.2f}" if target["met"] else f"[red]{measured[name]:,.2f}[/red]"
        table.add_row(name, value, f"{target['limit']:,.1f}", target["what"])
    for name in ("vs_regex", "vs_ahocorasick_raw", "hits_per_message_10_campaigns", "hits_per_message_all_campaigns"):
        table.add_row(name, f"{measured[name]:,.3f}", "", "")
    console.print(table)
    worst = Table("worst case", "ms", "ms of twice the size")
    for name, case in measured["worst_cases"].items():
        worst.add_row(name, f"{case['seconds'] * 1000:.1f}", f"{case['seconds_of_double'] * 1000:.1f}")
    console.print(worst)


if __name__ == "__main__":
    sys.exit(main())
