"""The test run's own database and virtual host, beside those of other runs on the same servers."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

import amqp
import psycopg
from django.conf import settings
from kombu import Connection, pools
from psycopg import sql

from messaging.broker import declare, policies, topology
from messaging.broker.management_api import ManagementApi, ManagementUnavailable
from tests.support import is_alive, wait_until

_PREFIX = "test_coolthing_"
_DROPPING_LOCK = 4712
# For each step of a request: a broker that serves several test processes takes its time.
_MANAGEMENT_SECONDS = 60.0
# As configured; while tests run the settings name a virtual host of the run, or no broker at all.
_SERVER = urlsplit(settings.RABBITMQ_URL)


@dataclass(frozen=True)
class Broker:
    """The run's virtual host. `env` points child processes at it and at the run's database."""

    url: str
    api: ManagementApi

    @property
    def env(self) -> dict[str, str]:
        return {
            "RABBITMQ_URL": self.url,
            "RABBITMQ_MANAGEMENT_URL": settings.RABBITMQ_MANAGEMENT_URL,
            "DATABASE_URL": database_url(),
            "DATABASE_DIRECT_URL": database_url(),
        }

    @contextmanager
    def channel(self) -> Iterator[amqp.Channel]:
        """A plain py-amqp channel, as a program has it that knows nothing of this code base."""
        with Connection(self.url) as connection:
            yield connection.default_channel

    def publish(self, exchange: str, routing_key: str, body: bytes, **properties: Any) -> None:
        """One message with exactly these AMQP properties, confirmed."""
        with Connection(self.url, transport_options={"confirm_publish": True}) as connection:
            channel = connection.default_channel
            channel.basic_publish(amqp.Message(body, **properties), exchange=exchange, routing_key=routing_key)

    def get(self, queue: str) -> amqp.Message | None:
        """The first message of a queue, which it leaves."""
        with self.channel() as channel:
            return channel.basic_get(queue, no_ack=True)

    def take(self, queue: str) -> amqp.Message:
        """As `get`, of a queue that must have one."""
        message = self.get(queue)
        assert message is not None, f"{queue} is empty"
        return message

    def ready(self, queue: str) -> int:
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)

    def consumers(self, queue: str) -> int:
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).consumer_count)

    def reset(self) -> None:
        """The topology as it should be, with empty queues, and nothing bound that an earlier test has bound."""
        declare.declare(url=self.url)
        policies.policies_set(topology.TOPOLOGY, self.api)
        self._unbind_strangers()
        for queue in topology.TOPOLOGY.queues:
            wait_until(partial(self._is_left, queue.name), what=f"the end of {queue.name}'s consumers")
        with self.channel() as channel:
            for queue in topology.TOPOLOGY.queues:
                channel.queue_purge(queue.name)

    def _unbind_strangers(self) -> None:
        """A queue that an earlier test bound would take what is to be unroutable in this one."""
        ours = {
            (exchange, key, queue.name) for queue in topology.TOPOLOGY.queues for exchange, key in queue.all_bindings
        }
        found = {
            (item["source"], item["routing_key"], item["destination"])
            for item in self.api.in_vhost("bindings")
            # The default exchange binds every queue by itself, and Celery's own belong to workers that come and go.
            if item["source"] and "celery" not in item["source"] and item["destination_type"] == "queue"
        }
        with self.channel() as channel:
            for exchange, key, queue in found - ours:
                channel.queue_unbind(queue, exchange, key)

    def _is_left(self, queue: str) -> bool:
        return self.consumers(queue) == 0


def name_database() -> None:
    """Give Django's test database this run's name; databases of runs that are over are dropped."""
    database = settings.DATABASES["default"]
    database.setdefault("TEST", {})["NAME"] = f"{_PREFIX}{os.getpid()}"
    with psycopg.connect(_url(database["NAME"]), autocommit=True) as connection:
        # The processes of a run begin at once, and would drop the same databases.
        connection.execute("SELECT pg_advisory_lock(%s)", [_DROPPING_LOCK])
        for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall():
            if _is_orphan(name):
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def database_url() -> str:
    return _url(settings.DATABASES["default"]["TEST"]["NAME"])


def use_broker(url: str) -> str:
    """Let this process publish and send to another broker from now on; the one before."""
    from coolthing_site import celery_app

    app: Any = celery_app
    previous, settings.RABBITMQ_URL = settings.RABBITMQ_URL, url
    app.conf.broker_url = url
    app.conf.broker_read_url = app.conf.broker_write_url = url
    # kombu keeps pools by address: a closed one would be found again when the same broker comes back.
    pools.reset()
    app._pool = app.amqp._producer_pool = None
    return str(previous)


@contextmanager
def virtual_host() -> Iterator[Broker]:
    """A virtual host that exists for as long as the context does."""
    name = f"{_PREFIX}{os.getpid()}"
    api = ManagementApi(settings.RABBITMQ_MANAGEMENT_URL, name, _MANAGEMENT_SECONDS)
    for vhost in api.call("GET", "vhosts"):
        if _is_orphan(vhost["name"]):
            # Another process of this run may have been quicker.
            with suppress(ManagementUnavailable):
                api.call("DELETE", f"vhosts/{vhost['name']}")
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    api.call("PUT", f"vhosts/{name}", {})
    api.call("PUT", f"permissions/{name}/{quote(_SERVER.username or '')}", everything)
    api.call("PUT", f"permissions/{name}/{quote(api.user)}", everything)
    try:
        yield Broker(_SERVER._replace(path=f"/{name}").geturl(), api)
    finally:
        api.call("DELETE", f"vhosts/{name}")


def _url(name: str) -> str:
    at = settings.DATABASES["default"]
    return f"postgres://{quote(at['USER'])}:{quote(at['PASSWORD'], safe='')}@{at['HOST']}:{at['PORT']}/{name}"


def _is_orphan(name: str) -> bool:
    match = re.fullmatch(rf"{_PREFIX}(\d+)", name)
    return match is not None and not is_alive(int(match[1]))
