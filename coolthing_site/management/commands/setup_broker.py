import sys
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandParser
from kombu.exceptions import KombuError

from messaging import declare
from messaging.management_api import ManagementApi, ManagementUnavailable
from messaging.queue_moves import MoveRefused, QueueMover
from messaging.topology import TOPOLOGY


class Command(BaseCommand):
    help = (
        "Declare exchanges, queues and bindings on the broker; with --check only compare them with it, with --migrate"
        " also make queues anew whose arguments have changed: their messages are kept."
    )
    # It runs before anything else does, the database included.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--check", action="store_true", help="change nothing; name each difference, then exit 1")
        what.add_argument(
            "--migrate", action="store_true", help="move queues whose arguments changed; stop their workers before"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["check"]:
                self._check()
            elif options["migrate"]:
                self._migrate()
            else:
                self._declare()
        except ManagementUnavailable as problem:
            self._end(2, f"the management API cannot be asked: {problem}")
        except (OSError, KombuError) as problem:
            self._end(2, f"the broker cannot be reached: {problem}")

    def _declare(self) -> None:
        try:
            declare.declare()
        except declare.DeclarationRefused as problem:
            self._end(1, f"{problem}\nsetup_broker --check says more; a queue is made anew by setup_broker --migrate")
        self.stdout.write(f"declared {len(TOPOLOGY.exchanges)} exchanges and {len(TOPOLOGY.queues)} queues")

    def _migrate(self) -> None:
        try:
            with QueueMover(TOPOLOGY, ManagementApi.from_settings(), self.stdout.write) as mover:
                moved = mover.move_all()
        except (declare.DeclarationRefused, MoveRefused) as problem:
            self._end(1, str(problem))
        self.stdout.write(f"moved {len(moved)} queues; the broker is as the topology says")

    def _check(self) -> None:
        found = declare.differences(TOPOLOGY, ManagementApi.from_settings())
        for line in found:
            self.stdout.write(line)
        if found:
            sys.exit(1)
        self.stdout.write("the broker is as the topology says")

    def _end(self, code: int, line: str) -> NoReturn:
        self.stderr.write(line)
        sys.exit(code)
