"""`make up` as an operator has it: addresses, a login, and nothing left behind after Ctrl-C."""

import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from bots.models import Bot, Incident
from coolthing_site.demo.environment import free_ports
from coolthing_site.models import Process as SeenProcess
from coolthing_site.processes.procfile import STOP_SECONDS, procfile
from messaging.models import OutboxEvent
from tests.support import Process, wait_until

# What does not end by itself is killed after STOP_SECONDS; a busy machine takes a while for that, too.
END_SECONDS = STOP_SECONDS + 120.0


@pytest.fixture
def start_up(start_process: Callable[..., Process]) -> Iterator[Callable[..., Process]]:
    """Start `make up` with ports of the test's own, for which a test may give others."""
    started: list[Process] = []
    names = ("WEB_PORT", "FLOWER_PORT", "SANDBOX_MTPROTO_PORT", "SANDBOX_HTTP_PORT")
    own = dict(zip(names, map(str, free_ports(4)), strict=True))

    def start(run_dir: Path, *options: str, **given: str) -> Process:
        variables = {"TELEGRAM_API_ID": "", **own, **given}
        up = start_process("manage.py", "up", "--run-dir", str(run_dir), *options, **variables)
        started.append(up)
        return up

    yield start
    # Its processes lead sessions of their own: if a failed test only had it killed, they would go on.
    for up in started:
        if up.is_running():
            up.signal(signal.SIGINT)
            up.wait(END_SECONDS)


def test_up_prints_a_working_login_replaces_what_is_killed_and_leaves_no_process_behind(
    start_up: Callable[..., Process], tmp_path: Path
):
    ports = dict(zip(("WEB_PORT", "FLOWER_PORT"), map(str, free_ports(2)), strict=True))
    up = start_up(tmp_path, **ports, PROCESS_SILENT_SECONDS="6")
    up.wait_for_log("beat started", timeout=90)
    login = re.search(r"login +(\S+) / (\S+) ", up.log())
    assert login
    sandbox = re.search(r"sandbox +(\S+) ", up.log())
    assert sandbox
    wait_until(lambda: _answers(f"{sandbox[1]}people") == 200, what="the sandbox")
    assert Bot.objects.filter(session__isnull=False).count() == 6

    panel = f"http://127.0.0.1:{ports['WEB_PORT']}/admin/login/"
    wait_until(lambda: _answers(panel) == 200, what="the panel")
    flower = f"http://127.0.0.1:{ports['FLOWER_PORT']}/api/workers"
    wait_until(lambda: _answers(flower, login[1], login[2]) == 200, 90, "Flower")
    wait_until(lambda: _answers(flower, login[1], "wrong") == 401, what="Flower's refusal")

    # Where the shipped configuration of Prometheus looks for it.
    token = (tmp_path / "metrics_token").read_text()
    metrics = f"http://127.0.0.1:{ports['WEB_PORT']}/metrics"
    shown = {"Authorization": f"Bearer {token}"}
    assert httpx2.get(metrics, headers=shown, timeout=60, trust_env=False).status_code == 200

    wait_until(lambda: up.log().count(" started (pid=") == len(procfile()), what="every process of the Procfile")
    # It has replaced its program once, to use the sandbox, and is still the only one.
    second = start_up(tmp_path, **ports)
    assert second.wait() == 2 and f"is already running in this directory (pid {up.pid})" in second.log()
    _freeze_one_and_see_it_missed(up)
    _kill_some_and_see_them_replaced(up, panel)
    up.signal(signal.SIGINT)
    assert up.wait(END_SECONDS) == 0
    assert not SeenProcess.objects.filter(ended_at=None).exists()
    # Whoever was killed at the end may still be on its way out.
    wait_until(lambda: not _left_behind(up), what="the end of all of them")


def test_a_second_up_says_at_once_who_runs_and_leaves_it_alone(start_up: Callable[..., Process], tmp_path: Path):
    # With Telegram configured it is one program from its start on, whose pid is in the file as soon as it is the first.
    telegram = {"TELEGRAM_API_ID": "1", "TELEGRAM_API_HASH": "of nobody"}
    first = start_up(tmp_path, "--empty", **telegram)
    pid_file = tmp_path / "up.pid"
    wait_until(lambda: pid_file.exists() and pid_file.read_text() == str(first.pid), 90, "the first one's pid")
    # Its processes would only share this machine with the second.
    first.signal(signal.SIGSTOP)
    try:
        second = start_up(tmp_path, "--empty", **telegram)
        assert second.wait() == 2
    finally:
        first.signal(signal.SIGCONT)
    running = f"`make up` is already running in this directory (pid {first.pid}); Ctrl-C in its terminal ends it"
    assert second.log() == f"CommandError: {running}\n"
    assert first.is_running()
    first.wait_for_log("web started")
    first.signal(signal.SIGINT)
    assert first.wait(END_SECONDS) == 0


def test_a_taken_port_is_named_before_anything_is_started(start_up: Callable[..., Process], tmp_path: Path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        up = start_up(tmp_path, "--empty", FLOWER_PORT=str(port))
        assert up.wait() == 2
    taken = f"another program uses port {port} (FLOWER_PORT): end that program, or set FLOWER_PORT in .env"
    assert up.log() == f"CommandError: {taken}\n"


@pytest.mark.parametrize(("moment", "number"), [("replaced: ", signal.SIGTERM), ("web started", signal.SIGINT)])
def test_an_end_while_processes_are_being_started_is_quiet(
    start_up: Callable[..., Process], tmp_path: Path, moment: str, number: int
):
    up = start_up(tmp_path, "--empty")
    up.wait_for_log(moment)
    up.signal(number)
    assert up.wait(END_SECONDS) in (0, 130)
    assert "Traceback" not in up.log()
    # Whoever was killed at the end may still be on its way out.
    wait_until(lambda: not _left_behind(up), what="the end of all of them")


def _freeze_one_and_see_it_missed(up: Process) -> None:
    """The others look after it: nobody else looks.

    On a slow machine any process may be missed at any time, this one before and after it is frozen, too.
    """
    wait_until(lambda: _ready(up, "scripts_watchdog"), 90, "the worker")
    pid = _running(up)["scripts_watchdog"]
    os.kill(pid, signal.SIGSTOP)
    silent = Incident.objects.filter(key="process:scripts_watchdog")
    missed = rf"scripts_watchdog \(pid {pid} on \S+\) has sent no heartbeat since "
    reason = wait_until(silent.values_list("reason", flat=True).first, 90, "the incident of a silent process")
    assert re.match(missed, reason)
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: not silent.exists(), 90, "the incident's end")
    assert re.search(missed, _crashes("scripts_watchdog"))


def _kill_some_and_see_them_replaced(up: Process, panel: str) -> None:
    wait_until(lambda: _ready(up, "leads"), 90, "the worker")
    before = _running(up)
    children = _children(before["leads"])
    assert len(children) == 2
    killed = ("leads", "beat", "web")
    for name in killed:
        os.kill(before[name], signal.SIGKILL)
    for name in killed:
        up.wait_for_log(f"{name} ended by itself (killed by SIGKILL); restarting it in 1 s")
    wait_until(lambda: all(_running(up)[name] != before[name] for name in killed), what="the three in their places")
    wait_until(lambda: _ready(up, "leads") == 2 and up.log().count("beat: Starting...") == 2, 90, "beat and the worker")
    wait_until(lambda: _answers(panel) == 200, 90, "the panel again")
    ended = SeenProcess.objects.filter(ended_by_itself=True, how="killed by SIGKILL")
    assert set(ended.values_list("kind", "pid")) == {(name, before[name]) for name in killed}
    for name in killed:
        # An end adds nothing to the incident of a process that was missed already: then the event says that.
        how = re.findall(rf"{name} \(pid {before[name]} on \S+\) (ended by itself|has sent no heartbeat)", _crashes())
        assert how and how.count("ended by itself") <= 1
    wait_until(lambda: not Incident.objects.filter(key__startswith="process:").exists(), 90, "the incidents' end")
    after = _running(up)
    assert {name for name in before if after[name] != before[name]} == set(killed)
    assert set(after.values()) <= _sessions()
    assert not set(children) & set(_session_of_each())


def _crashes(service: str = "") -> str:
    """The bodies of the events that report crashes, of one service or of all."""
    return " ".join(OutboxEvent.objects.filter(routing_key__endswith=f"{service}.crash").values_list("body", flat=True))


def _running(up: Process) -> dict[str, int]:
    """Name → process id, of the last start of each."""
    return {name: int(pid) for name, pid in re.findall(r"(\w+) started \(pid=(\d+)\)", up.log())}


def _ready(up: Process, worker: str) -> int:
    """How often a worker of this name has come up."""
    return len(re.findall(rf"{worker}@\S+ ready", up.log()))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _left_behind(up: Process) -> list[int]:
    """The sessions of processes that `up` has started and that live."""
    started = [int(pid) for pid in re.findall(r"started \(pid=(\d+)\)", up.log())]
    return [session for session in _sessions() if session in started]


def _answers(url: str, *login: str) -> int:
    try:
        return httpx2.get(url, auth=(login[0], login[1]) if login else None, timeout=5, trust_env=False).status_code
    except httpx2.HTTPError:
        return 0


def _sessions() -> set[int]:
    """The sessions of all processes on this machine: each process of the Procfile leads one of its own."""
    return set(_session_of_each().values())


def _session_of_each() -> dict[int, int]:
    """Process id → its session, of every process on this machine that has not ended."""
    sessions = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            sessions[int(stat.parent.name)] = int(fields[3])
    return sessions
