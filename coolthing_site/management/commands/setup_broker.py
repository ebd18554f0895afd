import sys
from contextlib import suppress
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from kombu import Connection
from kombu.exceptions import KombuError

from messaging.broker import declare, policies
from messaging.broker.management_api import ManagementApi, ManagementUnavailable
from messaging.broker.queue_moves import QueueMover
from messaging.broker.topology import ALTERNATE_POLICY, TOPOLOGY
from messaging.errors import BrokerChangeRefused
from texts.wording import counted

_AS_DECLARED = "the broker matches the topology"


class Command(BaseCommand):
    help = (
        "Declare exchanges, queues, bindings and policies on the broker. --check only compares them with the topology."
        " --migrate also replaces exchanges and queues whose arguments have changed, without losing messages."
    )
    # This command runs before everything else, even before the database.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--check",
            action="store_true",
            help="change nothing; list the differences, and exit with code 1 if there are any",
        )
        what.add_argument(
            "--migrate",
            action="store_true",
            help="replace exchanges and queues whose arguments have changed; stop the workers of these queues first",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        work = self._check if options["check"] else self._migrate if options["migrate"] else self._declare
        try:
            code, lines = work()
        except ManagementUnavailable as problem:
            self._end(2, f"the management API cannot be reached: {problem}")
        except (OSError, KombuError) as problem:
            self._end(2, f"the broker cannot be reached: {problem}")
        # Outside the try block: a closed output must not be reported as an unreachable broker.
        for line in lines:
            self.stdout.write(line)
        if code:
            sys.exit(code)

    def _declare(self) -> tuple[int, list[str]]:
        try:
            api = ManagementApi.from_settings()
            if unfinished := declare.unfinished_exchange_moves(TOPOLOGY, api.in_vhost("exchanges")):
                self._end(1, "\n".join(unfinished))
        except ManagementUnavailable as problem:
            api, refused = None, str(problem)
        try:
            declare.declare()
        except declare.DeclarationRefused as problem:
            self._end(1, f"{problem}\nsetup_broker --check shows the details; setup_broker --migrate replaces it")
        if api is None:
            self._warn(f"{refused}\n{policies.by_hand(ALTERNATE_POLICY, _vhost())}")
        else:
            self._set_policies(api)
        return 0, [f"declared {len(TOPOLOGY.exchanges)} exchanges and {len(TOPOLOGY.queues)} queues"]

    def _set_policies(self, api: ManagementApi) -> bool:
        """Set the policies. Returns whether they have effect; an administrator's equivalent policy counts as well."""
        refused = ""
        try:
            policies.policies_set(TOPOLOGY, api)
        except policies.PolicyRefused as problem:
            refused = str(problem)
        found = list(policies.differences(TOPOLOGY, api, api.in_vhost("exchanges")))
        if found:
            self._warn(refused or "\n".join(found))
        return not found

    def _warn(self, why: str) -> None:
        """Warn only: CoolThing's own messages are published with the flag `mandatory` and are not lost."""
        self.stderr.write(f"without this policy, unroutable messages of other programs are lost: {why}")

    def _migrate(self) -> tuple[int, list[str]]:
        api = ManagementApi.from_settings()
        try:
            with QueueMover(TOPOLOGY, api, self._print) as mover:
                exchanges, queues = mover.move_exchanges(), mover.move_all()
        except (declare.DeclarationRefused, BrokerChangeRefused) as problem:
            self._end(1, str(problem))
        match = f"; {_AS_DECLARED}" if self._set_policies(api) else ""
        replaced = f"{counted(len(exchanges), 'exchange')}, {counted(len(queues), 'queue')}"
        return 0, [f"replaced: {replaced}{match}"]

    def _print(self, line: str) -> None:
        """Print progress. A closed output does not stop the migration."""
        with suppress(BrokenPipeError):
            self.stdout.write(line)

    def _check(self) -> tuple[int, list[str]]:
        found = declare.differences(TOPOLOGY, ManagementApi.from_settings())
        return (1, found) if found else (0, [_AS_DECLARED])

    def _end(self, code: int, line: str) -> NoReturn:
        self.stderr.write(line)
        sys.exit(code)


def _vhost() -> str:
    return Connection(settings.RABBITMQ_URL).virtual_host or "/"
