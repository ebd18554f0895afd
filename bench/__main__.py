"""`python -m bench [--quick]`: measure the bus beside what people would use instead."""

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

from bench import document, harness, report, world  # noqa: E402

RESULT = Path(__file__).parent / "results" / "bus.json"


def main() -> int:
    names = [contender.name for contender in harness.CONTENDERS]
    parser = argparse.ArgumentParser(prog="make bench-bus", description="Measure the bus beside other frameworks.")
    parser.add_argument("--quick", action="store_true", help="one short run: a rough answer in under two minutes")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"some of: {', '.join(names)}")
    parser.add_argument("--output", type=Path, default=None, help=f"the JSON file (default: {RESULT})")
    options = parser.parse_args()
    console = Console(width=110 if not sys.stdout.isatty() else None)
    if not settings.RABBITMQ_MANAGEMENT_URL:
        console.print("the benchmark makes its own virtual host: set RABBITMQ_MANAGEMENT_URL beside RABBITMQ_URL")
        return 2
    began = time.monotonic()
    with world.private_world(settings.BASE_DIR / ".run" / "bench") as made:
        run = harness.Run(made, harness.QUICK if options.quick else harness.FULL, console, options.only or ())
        run.take()
        measured = run.document()
    report.show(console, run.results, measured)
    # A part of the measures must not pass for the whole.
    path = options.output or (None if options.only else RESULT)
    if path is not None:
        document.write(path, measured)
        console.print(f"written: {path}")
    console.print(f"took {time.monotonic() - began:.0f} s")
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
