"""`make up` as an operator has it: addresses, a login, and nothing left behind after Ctrl-C."""

import re
import signal
from collections.abc import Callable
from pathlib import Path

import httpx2

from bots.models import Bot
from coolthing_site.demo.environment import free_ports
from coolthing_site.processes import procfile
from tests.support import Process, wait_until


def test_up_prints_a_working_login_and_leaves_no_process_behind(start_process: Callable[..., Process], tmp_path: Path):
    ports = dict(
        zip(
            ("WEB_PORT", "FLOWER_PORT", "SANDBOX_MTPROTO_PORT", "SANDBOX_HTTP_PORT"),
            map(str, free_ports(4)),
            strict=True,
        )
    )
    up = start_process("manage.py", "up", "--run-dir", str(tmp_path), TELEGRAM_API_ID="", **ports)
    up.wait_for_log("beat started", timeout=90)
    login = re.search(r"login +(\S+) / (\S+) ", up.log())
    assert login
    assert Bot.objects.filter(session__isnull=False).count() == 6

    wait_until(lambda: _answers(f"http://127.0.0.1:{ports['WEB_PORT']}/admin/login/") == 200, 60, "the panel")
    flower = f"http://127.0.0.1:{ports['FLOWER_PORT']}/api/workers"
    wait_until(lambda: _answers(flower, login[1], login[2]) == 200, 90, "Flower")
    assert _answers(flower, login[1], "wrong") == 401

    wait_until(lambda: up.log().count(" started (pid=") == len(procfile()), what="every process of the Procfile")
    started = [int(pid) for pid in re.findall(r"started \(pid=(\d+)\)", up.log())]
    up.signal(signal.SIGINT)
    assert up.wait(90) == 0
    assert not [session for session in _sessions() if session in started]


def _answers(url: str, *login: str) -> int:
    try:
        return httpx2.get(url, auth=(login[0], login[1]) if login else None, timeout=5, trust_env=False).status_code
    except httpx2.HTTPError:
        return 0


def _sessions() -> set[int]:
    """The session of every process on this machine: each process of the Procfile leads one of its own."""
    sessions = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            sessions.add(int(fields[3]))
    return sessions
