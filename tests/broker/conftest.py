import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from messaging.broker import declare, policies, topology
from messaging.broker.management_api import ManagementApi
from tests.broker import probe
from tests.private import Broker, database_url
from tests.support import Process, wait_until

StartProcess = Callable[..., Process]


class Probe:
    """The test's own subscription: what its handler has done, and a lock that makes it wait."""

    def __init__(self, broker: Broker, start_process: StartProcess) -> None:
        self.broker = broker
        self._start = start_process

    def start_worker(
        self,
        *options: str,
        name: str = "probe",
        queue: str = probe.PROBE_QUEUE,
        until: str = "ready.",
        **env: str,
    ) -> Process:
        worker = self._start(
            "celery", "-A", "tests.broker.probe", "worker", "-Q", queue, "-n", f"{name}@test",
            "--concurrency=2", "-l", "INFO", *options, **env,
        )  # fmt: skip
        worker.wait_for_log(until)
        return worker

    def start_archiver(self) -> Process:
        worker = self._start(
            "celery", "-A", "tests.broker.probe", "worker", "-n", "archiver@test", "--concurrency=1", "-l", "INFO",
            "-Q", f"{topology.DEAD_LETTER_ARCHIVE_QUEUE},{topology.UNROUTABLE_QUEUE}",
        )  # fmt: skip
        worker.wait_for_log("ready.")
        return worker

    def start_with_archiver(self, *, name: str = "probe", queue: str = probe.PROBE_QUEUE) -> Process:
        """Both in one process, which starts in half the time, for tests in which neither ends alone."""
        queues = (queue, topology.DEAD_LETTER_ARCHIVE_QUEUE, topology.UNROUTABLE_QUEUE)
        return self.start_worker(name=name, queue=",".join(queues))

    def settle(self, worker: Process, queue: str, handled: int) -> None:
        """Wait until the worker has handled so many messages, end it, and see that it left none behind.

        What it had not acknowledged would be in the queue again; the broker's own figures are seconds old.
        """
        wait_until(lambda: worker.log().count(" succeeded in ") >= handled, what=f"{handled} handled messages")
        assert worker.stop() == 0
        assert worker.log().count(" succeeded in ") == handled
        assert self.broker.ready(queue) == 0

    def await_prefetched(self, queue: str) -> None:
        """Wait until the one worker has read all messages of the queue that it may have.

        The broker has sent them when none is ready any more; the answer to a ping that went over the same connection
        after them tells that they were read.
        """
        wait_until(lambda: self.broker.ready(queue) == 0, what="prefetched messages")
        assert probe.app.control.broadcast("ping", reply=True, timeout=60, limit=1), "no worker answers"

    def effects(self, event_id: uuid.UUID) -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM probe_effect WHERE event_id = %s", [event_id])
            return int(cursor.fetchone()[0])

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Inside, handlers of `hold` events wait."""
        with psycopg.connect(database_url(), autocommit=True) as holder:
            holder.execute("SELECT pg_advisory_lock(%s)", [probe.HOLD_LOCK])
            yield

    @contextmanager
    def held_next(self) -> Iterator[Callable[[], object]]:
        """Inside, as `locked`, but in the lock's queue behind those who wait now: the function returns when they have
        had it."""
        with psycopg.connect(database_url(), autocommit=True) as holder, ThreadPoolExecutor(1) as pool:
            before = self.waiting()
            taken = pool.submit(holder.execute, "SELECT pg_advisory_lock(%s)", [probe.HOLD_LOCK])
            wait_until(lambda: self.waiting() == before + 1, what="a place in the lock's queue")
            yield taken.result

    def waiting(self) -> int:
        """How many stand before the lock."""
        with connection.cursor() as cursor:
            cursor.execute(
                # The view tells of every database of the server: another run's handlers wait for another lock.
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                [probe.HOLD_LOCK],
            )
            return int(cursor.fetchone()[0])


@pytest.fixture
def probed(broker: Broker, start_process: StartProcess) -> Probe:
    declare.declare(probe.PROBE, url=broker.url)
    policies.policies_set(probe.PROBE, broker.api)
    with broker.channel() as channel:
        for queue in probe.PROBE.queues:
            channel.queue_purge(queue.name)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS probe_effect (event_id uuid, note text)")
        cursor.execute("TRUNCATE probe_effect")
    return Probe(broker, start_process)


@pytest.fixture
def modest_url(broker: Broker) -> Iterator[str]:
    """The management API's address for a user who may use the virtual host, and see it, but set no policies."""
    name, password = f"modest-{broker.api.vhost}", uuid.uuid4().hex
    broker.api.call("PUT", f"users/{name}", {"password": password, "tags": "management"})
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    broker.api.call("PUT", f"permissions/{broker.api.vhost}/{name}", everything)
    at = urlsplit(settings.RABBITMQ_MANAGEMENT_URL)
    yield at._replace(netloc=f"{name}:{password}@{at.hostname}:{at.port}").geturl()
    broker.api.call("DELETE", f"users/{name}")


@pytest.fixture
def modest_api(broker: Broker, modest_url: str) -> ManagementApi:
    return ManagementApi(modest_url, broker.api.vhost, seconds=60.0)
