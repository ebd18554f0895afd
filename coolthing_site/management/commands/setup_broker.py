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

_AS_IT_SHOULD_BE = "the broker is as the topology says"


class Command(BaseCommand):
    help = (
        "Declare exchanges, queues, bindings and policies on the broker; with --check only compare them with it, with"
        " --migrate also make exchanges and queues anew whose arguments have changed: no message is lost."
    )
    # It runs before anything else does, the database included.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--check", action="store_true", help="change nothing; name each difference, then exit 1")
        what.add_argument(
            "--migrate",
            action="store_true",
            help="make exchanges and queues anew whose arguments changed; stop the workers of such queues before",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        work = self._check if options["check"] else self._migrate if options["migrate"] else self._declare
        try:
            code, lines = work()
        except ManagementUnavailable as problem:
            self._end(2, f"the management API cannot be asked: {problem}")
        except (OSError, KombuError) as problem:
            self._end(2, f"the broker cannot be reached: {problem}")
        # Out here, where a reader of the output that has gone is not taken for the broker.
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
            self._end(1, f"{problem}\nsetup_broker --check says more; setup_broker --migrate makes it anew")
        if api is None:
            self._warn(f"{refused}\n{policies.by_hand(ALTERNATE_POLICY, _vhost())}")
        else:
            self._set_policies(api)
        return 0, [f"declared {len(TOPOLOGY.exchanges)} exchanges and {len(TOPOLOGY.queues)} queues"]

    def _set_policies(self, api: ManagementApi) -> bool:
        """Whether they hold now: one that an administrator has set already is as good, and a stronger one wins."""
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
        """No reason to stop: our own publishers ask for what no queue wants, and keep it."""
        self.stderr.write(f"what other programs publish and no queue wants is lost without its policy: {why}")

    def _migrate(self) -> tuple[int, list[str]]:
        api = ManagementApi.from_settings()
        try:
            with QueueMover(TOPOLOGY, api, self._say) as mover:
                exchanges, queues = mover.move_exchanges(), mover.move_all()
        except (declare.DeclarationRefused, BrokerChangeRefused) as problem:
            self._end(1, str(problem))
        as_it_should_be = f"; {_AS_IT_SHOULD_BE}" if self._set_policies(api) else ""
        made = f"{counted(len(exchanges), 'exchange')}, {counted(len(queues), 'queue')}"
        return 0, [f"made anew: {made}{as_it_should_be}"]

    def _say(self, line: str) -> None:
        """What has begun is finished, whether or not somebody reads about it."""
        with suppress(BrokenPipeError):
            self.stdout.write(line)

    def _check(self) -> tuple[int, list[str]]:
        found = declare.differences(TOPOLOGY, ManagementApi.from_settings())
        return (1, found) if found else (0, [_AS_IT_SHOULD_BE])

    def _end(self, code: int, line: str) -> NoReturn:
        self.stderr.write(line)
        sys.exit(code)


def _vhost() -> str:
    return Connection(settings.RABBITMQ_URL).virtual_host or "/"
