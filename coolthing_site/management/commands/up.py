"""Run all processes of the Procfile in the foreground until Ctrl-C. A process that ends by itself is restarted."""

import json
import os
import secrets
import socket
import sys
from argparse import SUPPRESS, ArgumentParser
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, OutputWrapper
from django.db import Error, connection

from coolthing_site.local_world.setup import prepare_local_world
from coolthing_site.processes.foreground import LastingOutput, interrupt, on_end_signals, require_free, single_instance
from coolthing_site.processes.keeper import Keeper
from coolthing_site.processes.procfile import SANDBOX, base_environment, procfile, sandbox_environment
from coolthing_site.processes.records import process_ended, processes_left_behind

OPERATOR = "operator"


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--empty", action="store_true", help="do not seed the demo's campaigns into an empty database"
        )
        parser.add_argument(
            "--run-dir",
            type=Path,
            default=settings.BASE_DIR / ".run",
            help="the directory for the login and the sandbox's state",
        )
        parser.add_argument("--sandbox", action="store_true", help=SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        on_end_signals(interrupt)
        self.stdout, self.stderr = _lasting(self.stdout), _lasting(self.stderr)
        run_dir = options["run_dir"]
        run_dir.mkdir(exist_ok=True)
        with single_instance(run_dir / "up.pid"):
            require_free(_ports())
            if not settings.TELEGRAM_API_ID:
                _become_sandboxed(run_dir)
            self._run(run_dir, sandboxed=options["sandbox"], empty=options["empty"])

    def _run(self, run_dir: Path, *, sandboxed: bool, empty: bool) -> None:
        outputs = {"stdout": self.stdout, "stderr": self.stderr}
        call_command("migrate", verbosity=0, interactive=False, **outputs)
        # No worker runs yet, so rows and queues of an older release can be changed now.
        call_command("merge_renamed_models", **outputs)
        call_command("setup_broker", verbosity=0, migrate=bool(settings.RABBITMQ_MANAGEMENT_URL), **outputs)
        login = _operator_login(run_dir / "operator.json")
        commands = _commands(run_dir, sandboxed=sandboxed)
        environment = base_environment() | {
            "WEB_PORT": str(settings.WEB_PORT),
            "FLOWER_PORT": str(settings.FLOWER_PORT),
            "FLOWER_BASIC_AUTH": f"{login['username']}:{login['password']}",
            "PANEL_URL": settings.PANEL_URL or f"http://127.0.0.1:{settings.WEB_PORT}",
            "METRICS_TOKEN": _metrics_token(run_dir / "metrics_token"),
        }
        if sandboxed and not empty:
            prepare_local_world(environment, commands[SANDBOX], run_dir, report=self.stdout.write)
        self.stdout.write(f"panel   http://127.0.0.1:{settings.WEB_PORT}/admin/")
        self.stdout.write(f"flower  http://127.0.0.1:{settings.FLOWER_PORT}/")
        self.stdout.write(f"login   {login['username']} / {login['password']} (also in {run_dir / 'operator.json'})")
        if sandboxed:
            address = f"http://127.0.0.1:{settings.SANDBOX_HTTP_PORT}/"
            self.stdout.write(f"sandbox {address} (docs/operations.md explains how to start its people)")
        self.stdout.write("Ctrl-C ends all processes. RabbitMQ and PostgreSQL run until `make stop`.")
        keeper = Keeper(commands, environment=environment, directory=settings.BASE_DIR, on_end=self._record_end)
        host = socket.gethostname()
        # Rows of an earlier `make up` that was killed. A process that is still alive sends another heartbeat.
        processes_left_behind(host=host)
        keeper.run()
        processes_left_behind(host=host)

    def _record_end(self, name: str, pid: int, how: str, delay: float) -> None:
        try:
            process_ended(kind=name, host=socket.gethostname(), pid=pid, how=how, delay=delay)
        except Error as problem:
            self.stdout.write(f"cannot record the end of {name}: {type(problem).__name__}")
        finally:
            connection.close()


def _lasting(output: OutputWrapper) -> OutputWrapper:
    return OutputWrapper(cast(TextIO, LastingOutput(output)))


def _ports() -> dict[str, int]:
    """Variable → port, for all ports that will be used."""
    names = ["WEB_PORT", "FLOWER_PORT"]
    if not settings.TELEGRAM_API_ID:
        names += ["SANDBOX_MTPROTO_PORT", "SANDBOX_HTTP_PORT"]
    return {name: getattr(settings, name) for name in names}


def _become_sandboxed(run_dir: Path) -> NoReturn:
    """Replace this process by one whose settings point at the sandbox, because settings are read only at the start."""
    environment = base_environment() | sandbox_environment(
        mtproto_port=settings.SANDBOX_MTPROTO_PORT,
        http_port=settings.SANDBOX_HTTP_PORT,
        key_dir=run_dir / SANDBOX,
    )
    os.execve(sys.executable, [sys.executable, *sys.argv, "--sandbox"], environment)


def _commands(run_dir: Path, *, sandboxed: bool) -> dict[str, str]:
    """The Procfile's commands. They include the sandbox only if Telegram itself is not configured."""
    commands = procfile()
    if sandboxed:
        commands[SANDBOX] += f" --scenario demo --key-dir {run_dir / SANDBOX} --state {run_dir / SANDBOX / 'state'}"
    else:
        commands.pop(SANDBOX)
    return commands


def _metrics_token(path: Path) -> str:
    """The token of /metrics. It is also written to `path`, where deploy/prometheus/prometheus.yml expects it."""
    given = settings.METRICS_TOKEN or (path.read_text() if path.exists() else secrets.token_urlsafe(24))
    path.touch(mode=0o600)
    path.write_text(given)
    return given


def _operator_login(path: Path) -> dict[str, str]:
    """The local operator's login, from `path`, which only this user can read. The first call creates it.

    The account gets this password again at each start.
    """
    if path.exists():
        login: dict[str, str] = json.loads(path.read_text())
    else:
        login = {"username": OPERATOR, "password": secrets.token_urlsafe(12)}
        path.touch(mode=0o600)
        path.write_text(json.dumps(login) + "\n")
    user, _ = get_user_model().objects.get_or_create(
        username=login["username"], defaults={"is_staff": True, "is_superuser": True}
    )
    if not user.check_password(login["password"]):
        user.set_password(login["password"])
        user.save(update_fields=["password"])
    return login
