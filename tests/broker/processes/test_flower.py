"""Flower behind its login: tasks by the name of what they do, and by the event that they handle."""

import base64
import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from flower import urls

from coolthing_site.demo.environment import free_ports
from tests.broker.conftest import Probe, StartProcess
from tests.broker.probe import KEY, PROBE_EXCHANGE, ProbeHappened
from tests.support import wait_until

LOGIN = "ann:a long secret"
_open = build_opener(ProxyHandler({})).open


def _get(address: str, login: str = "") -> Any:
    headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}
    with _open(Request(address, headers=headers), timeout=60) as answer:
        return json.load(answer)


def _open_paths(server: str) -> set[str]:
    """Which of Flower's addresses answer somebody without its login, style sheets excepted."""
    patterns = [url[0] if isinstance(url, tuple) else url.regex.pattern for url in urls.handlers]
    paths = {pattern.strip("$?").replace("(.+)", "x").replace("(.*)", "x") for pattern in patterns}
    return {path for path in paths - {".*", "/static/x"} if _status(server + path) < 400}


def _status(address: str) -> int:
    """To a GET, or to a POST where nothing can be got."""
    for data in (None, b""):
        try:
            with _open(Request(address, data=data), timeout=60) as answer:
                return int(answer.status)
        except HTTPError as refused:
            if refused.code != 405:
                return refused.code
    return 405


def test_flower_shows_whom_a_task_serves_and_to_nobody_without_a_login(probed: Probe, start_process: StartProcess):
    (port,) = free_ports(1)
    start_process(
        "-m", "coolthing_site.flower_server",
        "-A", "tests.broker.probe", "flower", "--address=127.0.0.1", f"--port={port}", "--read-only",
        FLOWER_BASIC_AUTH=LOGIN, BROKER_POOL_LIMIT="16",
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}/api/tasks"

    def answers() -> bool:
        try:
            _get(address, LOGIN)
        except HTTPError:
            return True
        except OSError:
            return False
        return True

    wait_until(answers, what="Flower")
    assert _open_paths(f"http://127.0.0.1:{port}") == {"/healthcheck", "/logout"}
    probed.start_worker()
    event = ProbeHappened()

    def shown() -> dict[str, Any] | None:
        # Flower tells nobody when it has begun to listen: copies of one event are handled once, but each is a task.
        probed.broker.publish(PROBE_EXCHANGE, KEY, event.to_json().encode())
        tasks = _get(address, LOGIN).values()
        return next((task for task in tasks if task["root_id"] == str(event.id)), None)

    task = wait_until(shown, what="the event's task")
    assert task["name"] == "tests.probe.record"
