"""`python -m bench.bots [--quick]`: measure one bots worker with many sessions, and the gate with a large ledger."""

import argparse
import os
import sys
import time
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coolthing_site.settings")
django.setup()

from django.conf import settings  # noqa: E402 - after the setup
from rich.console import Console  # noqa: E402

from bench import document, world  # noqa: E402
from bench.bots import harness, report  # noqa: E402

RESULT = Path(__file__).parents[1] / "results" / "bots.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-bots", description="Measure a bots worker and the gate.")
    parser.add_argument("--quick", action="store_true", help="fewer sessions and rows, in under two minutes; no file")
    parser.add_argument("--output", type=Path, default=None, help=f"the JSON file (default: {RESULT})")
    options = parser.parse_args()
    console = Console(width=110 if not sys.stdout.isatty() else None)
    if not settings.RABBITMQ_MANAGEMENT_URL:
        console.print("the benchmark creates a virtual host: set RABBITMQ_MANAGEMENT_URL besides RABBITMQ_URL")
        return 2
    began = time.monotonic()
    with world.private_world(settings.BASE_DIR / ".run" / "bench-bots", "coolthing_bench_bots") as made:
        run = harness.Run(made, harness.QUICK if options.quick else harness.FULL, console)
        run.take()
        measured = run.document()
    report.show(console, run.results, measured)
    # The result file must contain only the figures of a full run.
    path = options.output or (None if options.quick else RESULT)
    if path is not None:
        document.write(path, measured)
        console.print(f"written: {path}")
    console.print(f"took {time.monotonic() - began:.0f} s")
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
