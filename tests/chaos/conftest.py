import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from messaging.broker import declare, topology
from tests.chaos.bus import TABLES
from tests.chaos.bus import TOPOLOGY as CHAOS
from tests.chaos.faults import World
from tests.chaos.fleet import Fleet
from tests.chaos.servers import Servers, own_servers
from tests.support import ROOT
from tests.tcp_proxy import TcpProxy


@pytest.fixture
def seed() -> int:
    """`CHAOS_SEED` repeats what an earlier run published and did, though not its timing to the millisecond."""
    given = os.environ.get("CHAOS_SEED", "")
    return int(given) if given else random.randrange(1_000_000)


@pytest.fixture
def servers() -> Iterator[Servers]:
    with own_servers() as servers:
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "-v0", "--skip-checks"],
            cwd=ROOT,
            env=_env(servers.env),
            check=True,
        )
        servers.await_broker()
        yield servers


@pytest.fixture
def world(servers: Servers, seed: int, tmp_path: Path) -> Iterator[World]:
    """Servers of its own with tables and topology, networks that can be cut, and no process yet."""
    with psycopg.connect(servers.env["DATABASE_URL"]) as connection:
        connection.execute(TABLES)
    for part in (topology.TOPOLOGY, CHAOS):
        declare.declare(part, url=servers.env["RABBITMQ_URL"])
    url = servers.env
    with TcpProxy.before(url["RABBITMQ_URL"]) as amqp, TcpProxy.before(url["DATABASE_URL"]) as sql:
        database, broker = sql.url(url["DATABASE_URL"]), amqp.url(url["RABBITMQ_URL"])
        env = {**servers.env, "DATABASE_URL": database, "DATABASE_DIRECT_URL": database, "RABBITMQ_URL": broker}
        fleet = Fleet(env, tmp_path)
        try:
            yield World(servers, amqp, sql, fleet, random.Random(seed))
        finally:
            fleet.kill_all()


def _env(own: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **own}
