"""Run scripts and leads from end to end in the sandbox, and compare the sandbox's messages with the ledger."""

import fcntl
import os
import sys
from argparse import SUPPRESS, ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from coolthing_site.demo.environment import demo_environment
from coolthing_site.demo.presentation import print_report, write_report
from coolthing_site.demo.run import Demo
from coolthing_site.processes.foreground import interrupt, on_end_signals
from coolthing_site.processes.procfile import ProcessGroup


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON")
        parser.add_argument(
            "--local-hour",
            type=int,
            choices=range(24),
            metavar="0-23",
            help="the local hour at the demo's start: the demo chooses a time zone to match",
        )
        parser.add_argument("--prepared", action="store_true", help=SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        work_dir = settings.BASE_DIR / ".run" / "demo"
        if not options["prepared"]:
            self._become_prepared(work_dir)
        on_end_signals(interrupt)
        console = Console(highlight=False)
        with ProcessGroup(environment=os.environ, log_dir=work_dir / "logs") as processes:
            try:
                report = Demo(console=console, work_dir=work_dir, processes=processes).run(
                    local_hour=options["local_hour"]
                )
            except KeyboardInterrupt:
                raise CommandError("interrupted", returncode=130) from None
        print_report(console, report)
        if options["json"]:
            write_report(options["json"], report)
        if report["problems"]:
            sys.exit(1)

    def _become_prepared(self, work_dir: Path) -> None:
        """Replace this process by one with the demo's own settings, because settings are read only at the start."""
        work_dir.mkdir(parents=True, exist_ok=True)
        for log in (work_dir / "logs").glob("*.log"):
            log.unlink()
        lock = os.open(work_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError("a demo is already running in this directory") from None
        os.set_inheritable(lock, True)
        environment = demo_environment(work_dir)
        os.execve(sys.executable, [sys.executable, *sys.argv, "--prepared"], environment)
