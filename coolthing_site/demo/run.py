"""The demo's stages, in order. They run in the demo's own environment (see `environment.py`)."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import close_old_connections
from rich.console import Console
from rich.live import Live

from bots.models import Role
from campaigns.models import Campaign
from coolthing_site.demo import observe
from coolthing_site.demo.presentation import progress_line, progress_table
from coolthing_site.demo.report import Outside, build_report
from coolthing_site.local_world.sandbox_control import SandboxControl
from coolthing_site.local_world.setup import SEED_FILE, connect_bots, start_sandbox
from coolthing_site.processes.procfile import SANDBOX, ProcessGroup, procfile
from sandbox.scenario import Scenario
from scripts.models import Assignment
from scripts.services import assignment_activate

SCENARIO = "demo"
START_SECONDS = 180.0  # within which processes and bots must be up; on two idle cores this takes about 30 s
SETTLE_SECONDS = 240.0  # within which plays and conversations must end; this takes about 40 s
QUIET_SECONDS = 8.0  # longer than a person's answer and the pause before the LLM's reply, on a busy machine
POLL_SECONDS = 0.5
PRINT_SECONDS = 5.0  # between two lines of progress if the output is not a terminal


class Demo:
    """A run of the demo. `work_dir` is for the logs, the sandbox's key and the notifier's file."""

    def __init__(self, *, console: Console, work_dir: Path, processes: ProcessGroup) -> None:
        self.console = console
        self.work_dir = work_dir
        self.processes = processes
        self.control = SandboxControl(f"http://127.0.0.1:{processes.environment['SANDBOX_HTTP_PORT']}")
        self.scenario = Scenario.load(SCENARIO)
        self.began = time.monotonic()

    def run(self, *, local_hour: int | None = None) -> dict[str, Any]:
        """Run all stages and return the report."""
        self._stage("database and topology", self._prepare)
        self._stage("sandbox", self._start_sandbox)
        self._stage(f"seed {SEED_FILE}", lambda: self._seed(local_hour))
        self._stage("log the bots in", lambda: connect_bots(self.control))
        self._stage("start the processes", self._start_processes)
        self._stage("parser and manager bots online", self._wait_for_bots)
        self._stage("activate the script and start the people", self._activate)
        queues = self._settle()
        outside = Outside(self.control.get("/ledger"), self.control.get("/people"), self.scenario)
        return build_report(outside, queues=queues, seconds=time.monotonic() - self.began)

    def _stage(self, name: str, action: Callable[[], object]) -> None:
        before = time.monotonic()
        self.console.print(f"· {name} …")
        action()
        self.console.print(f"  done in {time.monotonic() - before:.1f} s")

    def _prepare(self) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        call_command("setup_broker", verbosity=0)

    def _start_sandbox(self) -> None:
        start_sandbox(
            self.processes, f"{procfile()[SANDBOX]} --scenario {SCENARIO} --key-dir {self.work_dir / SANDBOX}"
        )

    def _seed(self, local_hour: int | None) -> None:
        call_command("seed_campaigns", str(settings.BASE_DIR / SEED_FILE), verbosity=0)
        if local_hour is not None:
            Campaign.objects.update(time_zone=time_zone_at_hour(local_hour, datetime.now(UTC)))

    def _start_processes(self) -> None:
        for name, command in procfile().items():
            if name != SANDBOX:
                self.processes.start(name, command)

    def _wait_for_bots(self) -> None:
        roles = [Role.PARSER.value, Role.MANAGER.value]
        self._wait(
            "parser and manager bots are still not online",
            lambda: not observe.bots_not_online(roles),
            why=lambda: "; ".join(observe.bots_not_online(roles)),
        )

    def _activate(self) -> None:
        for assignment in Assignment.objects.filter(state=Assignment.State.DRAFT):
            assignment_activate(assignment_id=assignment.id)
        self.control.post("/people/start")

    def _settle(self) -> dict[str, int]:
        """Wait until no work is under way, nothing has changed for QUIET_SECONDS, and each queue was empty since then.

        Shows the progress. Returns the number of messages that stayed in each queue.
        """
        left: dict[str, int] = {}
        deadline, since = time.monotonic() + SETTLE_SECONDS, time.monotonic()
        last: dict[str, int] = {}
        printed = 0.0
        with Live(console=self.console, auto_refresh=False, transient=True) as live:
            while time.monotonic() < deadline:
                self._check_processes()
                close_old_connections()
                people, now = self.control.get("/people"), observe.counts()
                if now != last or _under_way(people, now):
                    last, since, left = now, time.monotonic(), {}
                elif time.monotonic() - since > QUIET_SECONDS:
                    left = observe.lowest(left, observe.queue_depths())
                    if not any(left.values()):
                        return left
                if self.console.is_terminal:
                    live.update(progress_table(people, now), refresh=True)
                elif time.monotonic() - printed > PRINT_SECONDS:
                    printed = time.monotonic()
                    self.console.print(progress_line(people, now))
                time.sleep(POLL_SECONDS)
        self.console.print(f"  not settled after {SETTLE_SECONDS:.0f} s: {progress_line(people, now)}")
        return left or observe.queue_depths()

    def _wait(self, what: str, ready: Callable[[], bool], why: Callable[[], str] = lambda: "") -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            self._check_processes()
            if time.monotonic() > deadline:
                raise CommandError(f"{what} after {START_SECONDS:.0f} s: {why()}")
            time.sleep(POLL_SECONDS)

    def _check_processes(self) -> None:
        for name, code in self.processes.ended().items():
            raise CommandError(f"{name} ended with exit code {code}. Its last output:\n{self.processes.tail(name)}")


def time_zone_at_hour(hour: int, now: datetime) -> str:
    """The IANA name of a time zone with a fixed offset, in which it is now `hour` o'clock (with the minutes of UTC)."""
    offset = (hour - now.astimezone(UTC).hour + 12) % 24 - 12
    # POSIX signs: Etc/GMT-3 is three hours ahead of UTC.
    return "Etc/GMT" if offset == 0 else f"Etc/GMT{-offset:+d}"


def _under_way(people: dict[str, Any], now: dict[str, int]) -> bool:
    open_work = ("plays_open", "llm_due", "deliveries_open", "outbox_waiting", "events_open", "notifications_open")
    return people["state"] != "done" or people["waiting"] > 0 or any(now[name] for name in open_work)
