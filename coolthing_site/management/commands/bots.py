"""Show the bots and the bots workers in a terminal, and drain workers."""

from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from bots.accounts.state_help import next_step, waits_until
from bots.models import Bot, BotSession, Host, Role
from bots.worker.hosts import host_drain, host_state, host_undrain, hosts_alive
from messaging.database.clock import database_clock
from panelkit.labels import waits
from vault.commands import SecretsCommand


class Command(SecretsCommand):
    help = "List the bots (list) or the bots workers (hosts), drain a worker, or end the draining (undrain)."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="all bots with state, reason and next step")
        actions.add_parser("hosts", help="all bots workers with role, load and state")
        drain = actions.add_parser(
            "drain", help="let other workers run this worker's bots within seconds; it gets no new bots"
        )
        undrain = actions.add_parser("undrain", help="let a drained worker run bots again")
        for command in (drain, undrain):
            command.add_argument("host", help="the worker's name, or its beginning, as `bots hosts` shows it")

    def handle(self, *, action: str, host: str = "", **options: Any) -> None:
        actions: dict[str, Callable[[], None]] = {"list": self._list, "hosts": self._hosts}
        if action in actions:
            actions[action]()
            return
        name = _named(host)
        done = host_drain(name=name) if action == "drain" else host_undrain(name=name)
        already = "is already draining" if action == "drain" else "is not draining"
        doing = "hands its bots over and gets no new bots" if action == "drain" else "can run bots again"
        self.stdout.write(f"{name} {doing if done else already}")

    def _list(self) -> None:
        with_session = set(BotSession.objects.values_list("bot_id", flat=True))
        with_worker = {role for role in Role.values if hosts_alive(role).exists()}
        now = database_clock()
        for bot in Bot.objects.defer("phone", "api_hash", "proxy_url").order_by("role", "key"):
            why = waits(bot.state_reason, waits_until(bot, now))
            step = next_step(bot, has_session=bot.pk in with_session, has_worker=bot.role in with_worker)
            state = f"{bot.state} ({why})" if why else bot.state
            self.stdout.write(f"{bot.role:8} {bot.key:20} {state}: {step}")

    def _hosts(self) -> None:
        for host in Host.objects.order_by("role", "name"):
            carried = Bot.objects.filter(lease_owner=host.name, lease_expires_at__isnull=False).count()
            state = host_state(host, database_clock())
            self.stdout.write(f"{host.role:8} {carried}/{host.capacity} {state:25} {host.name}")


def _named(beginning: str) -> str:
    found = list(Host.objects.filter(name__startswith=beginning).values_list("name", flat=True))
    if len(found) == 1:
        return found[0]
    known = ", ".join(Host.objects.order_by("name").values_list("name", flat=True)) or "none is running"
    raise CommandError(f"{beginning!r} matches {len(found) or 'no'} workers. Workers: {known}")
