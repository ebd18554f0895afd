"""`python -m bench [--quick]`: compare the bus with the libraries that a team would use instead."""

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
    parser = argparse.ArgumentParser(prog="make bench-bus", description="Compare the bus with other frameworks.")
    parser.add_argument("--quick", action="store_true", help="one short run with rough figures, in under two minutes")
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="NAME", help=f"measure only these: {', '.join(names)}"
    )
    parser.add_argument("--output", type=Path, default=None, help=f"the JSON file (default: {RESULT})")
    options = parser.parse_args()
    console = Console(width=110 if not sys.stdout.isatty() else None)
    if not settings.RABBITMQ_MANAGEMENT_URL:
        console.print("the benchmark creates a virtual host: set RABBITMQ_MANAGEMENT_URL besides RABBITMQ_URL")
        return 2
    began = time.monotonic()
    with world.private_world(settings.BASE_DIR / ".run" / "bench") as made:
        run = harness.Run(made, harness.QUICK if options.quick else harness.FULL, console, options.only or ())
        run.take()
        measured = run.document()
    report.show(console, run.results, measured)
    # The result file must contain all measurements.
    path = options.output or (None if options.only else RESULT)
    if path is not None:
        document.write(path, measured)
        console.print(f"written: {path}")
    console.print(f"took {time.monotonic() - began:.0f} s")
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
