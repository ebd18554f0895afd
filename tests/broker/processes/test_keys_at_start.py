"""Processes that were given a key which does not fit the database."""

import pytest
from cryptography.fernet import Fernet

from bots.models import Bot
from messaging.broker import topology
from tests.broker.conftest import StartProcess
from tests.private import Broker

PROCESSES = {
    "relay": ("manage.py", "relay_events"),
    "worker": ("celery", "-A", "coolthing_site", "worker", "-Q", topology.MAINTENANCE_QUEUE, "--pool=threads"),
    "beat": ("celery", "-A", "coolthing_site", "beat", "--pidfile="),
    "web": ("-m", "gunicorn", "coolthing_site.wsgi", "--bind", "127.0.0.1:0", "--no-control-socket"),
    "a login": ("manage.py", "connect_bot", "boris", "--string-session"),
    "the bots' command": ("manage.py", "bots", "list"),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_with_a_wrong_key_says_so_in_one_line_and_ends(
    broker: Broker, start_process: StartProcess, name: str
):
    Bot.objects.create(key="anna", role="actor", phone="+15550001")
    process = start_process(*PROCESSES[name], FIELD_ENCRYPTION_KEYS=Fernet.generate_key().decode())
    assert process.wait(60) != 0
    log = process.log()
    assert len([line for line in log.splitlines() if "FIELD_ENCRYPTION_KEYS lacks a key" in line]) == 1, log
    assert "Traceback" not in log and "UnreadableSecret" not in log


@pytest.mark.parametrize(("keys", "line"), [("", "is not set"), ("rubbish", "must hold URL-safe base64 of 32 bytes")])
def test_web_without_a_usable_key_says_so_once_and_ends(start_process: StartProcess, keys: str, line: str):
    process = start_process(*PROCESSES["web"], FIELD_ENCRYPTION_KEYS=keys)
    assert process.wait(60) == 3
    assert process.log().count(f"configuration: FIELD_ENCRYPTION_KEYS {line}") == 1, process.log()
