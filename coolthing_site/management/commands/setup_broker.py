import sys
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandParser
from kombu.exceptions import KombuError

from messaging import declare
from messaging.management_api import ManagementApi, ManagementUnavailable
from messaging.topology import TOPOLOGY


class Command(BaseCommand):
    help = "Declare exchanges, queues and bindings on the broker; with --check only compare them with it."
    # It runs before anything else does, the database included.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; name each difference, then exit 1")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"]:
            self._check()
        else:
            self._declare()

    def _declare(self) -> None:
        try:
            declare.declare()
        except declare.DeclarationRefused as problem:
            self._end(1, f"{problem}\nRemove it when it is empty, then run this again.")
        except (OSError, KombuError) as problem:
            self._end(2, f"the broker cannot be reached: {problem}")
        self.stdout.write(f"declared {len(TOPOLOGY.exchanges)} exchanges and {len(TOPOLOGY.queues)} queues")

    def _check(self) -> None:
        try:
            found = declare.differences(TOPOLOGY, ManagementApi.from_settings())
        except ManagementUnavailable as problem:
            self._end(2, f"the management API cannot be asked: {problem}")
        for line in found:
            self.stdout.write(line)
        if found:
            sys.exit(1)
        self.stdout.write("the broker is as the topology says")

    def _end(self, code: int, line: str) -> NoReturn:
        self.stderr.write(line)
        sys.exit(code)
