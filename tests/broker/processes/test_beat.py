"""Beat against a database that comes and goes."""

from tests.broker.conftest import StartProcess
from tests.private import Broker, database_url
from tests.support import Process
from tests.tcp_proxy import TcpProxy


def _start_beat(start_process: StartProcess, database: str) -> Process:
    return start_process(
        "celery", "-A", "coolthing_site", "beat", "-l", "INFO", "--pidfile=", DATABASE_URL=database,
    )  # fmt: skip


def test_beat_started_without_a_database_waits_for_it(broker: Broker, start_process: StartProcess):
    with TcpProxy.before(database_url()) as proxy:
        proxy.cut()
        beat = _start_beat(start_process, proxy.url(database_url()))
        beat.wait_for_log("beat waits for the database")
        proxy.restore()
        beat.wait_for_log("Sending due task bots.tasks.supervise_bots")
        assert beat.stop() == 0


def test_beat_ends_when_asked_though_it_waits_for_the_database(broker: Broker, start_process: StartProcess):
    with TcpProxy.before(database_url()) as proxy:
        proxy.cut()
        beat = _start_beat(start_process, proxy.url(database_url()))
        beat.wait_for_log("beat waits for the database")
        assert beat.stop() == 0
