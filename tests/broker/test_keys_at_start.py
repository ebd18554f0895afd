"""Processes that were given a key which does not fit the database."""

import pytest
from cryptography.fernet import Fernet

from bots.models import Bot
from messaging import topology
from tests.broker.conftest import StartProcess
from tests.private import Broker

PROCESSES = {
    "relay": ("manage.py", "relay_events"),
    "worker": ("celery", "-A", "coolthing_site", "worker", "-Q", topology.MAINTENANCE_QUEUE, "--pool=threads"),
    "web": ("-m", "gunicorn", "coolthing_site.wsgi", "--bind", "127.0.0.1:0", "--no-control-socket"),
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
