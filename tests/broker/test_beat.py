"""Beat against a database that comes and goes."""

from tests.broker.conftest import StartProcess
from tests.private import Broker, database_url
from tests.tcp_proxy import TcpProxy


def test_beat_started_without_a_database_waits_for_it(broker: Broker, start_process: StartProcess):
    with TcpProxy.before(database_url()) as proxy:
        proxy.cut()
        url = proxy.url(database_url())
        beat = start_process(
            "celery",
            "-A",
            "coolthing_site",
            "beat",
            "-l",
            "INFO",
            "--pidfile=",
            DATABASE_URL=url,
            CELERY_SKIP_CHECKS="1",
        )
        beat.wait_for_log("beat waits for the database")
        proxy.restore()
        beat.wait_for_log("Sending due task bots.tasks.supervise_bots")
        assert beat.stop() == 0
