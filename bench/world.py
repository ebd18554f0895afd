"""The benchmark's own database and virtual host, its queues and its processes."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from amqp.exceptions import AMQPError
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from psycopg import sql

from bench import effect, recorder, wire
from coolthing_site.processes.procfile import ProcessGroup, base_environment
from messaging.broker.management_api import ManagementApi

NAME = "coolthing_bench"
QUORUM = {"x-queue-type": "quorum"}
POLL_SECONDS = 0.01


class BenchError(Exception):
    """A measurement failed. The text contains the reason."""


@dataclass
class World:
    """The broker and the database of the benchmark. Child processes get their URLs from `environment`."""

    amqp_url: str
    database_url: str
    directory: Path
    api: ManagementApi
    name: str = NAME
    _serial: int = field(default=0)

    def environment(self, queue: str, records: Path, effect_mode: str) -> dict[str, str]:
        """The environment of a peer. It contains no settings of Django, so that Celery runs with its defaults."""
        inherited = {name: value for name, value in base_environment().items() if not name.startswith("DJANGO")}
        return {
            **inherited,
            "BENCH_URL": self.amqp_url,
            "BENCH_QUEUE": queue,
            "BENCH_EFFECT": effect_mode,
            effect.DATABASE_VARIABLE: self.database_url,
            recorder.DIRECTORY_VARIABLE: str(records),
        }

    def site_environment(self, records: Path | None = None) -> dict[str, str]:
        """The environment of our own processes: the usual settings, with the benchmark's broker and database."""
        return {
            **base_environment(),
            "RABBITMQ_URL": self.amqp_url.replace("amqp://", "pyamqp://", 1),
            "DATABASE_URL": self.database_url,
            "DATABASE_DIRECT_URL": self.database_url,
            **({recorder.DIRECTORY_VARIABLE: str(records)} if records else {}),
        }

    def records(self) -> Path:
        """A new directory for the records of the handlers in a measurement."""
        self._serial += 1
        made = self.directory / f"records-{self._serial}"
        made.mkdir()
        return made

    def processes(self, environment: dict[str, str]) -> ProcessGroup:
        self._serial += 1
        return ProcessGroup(environment=environment, log_dir=self.directory / f"logs-{self._serial}")

    def fresh_queue(self, name: str, arguments: dict[str, Any]) -> None:
        with wire.channel(self.amqp_url) as channel:
            channel.queue_delete(name)
            channel.queue_declare(name, durable=True, auto_delete=False, arguments={**QUORUM, **arguments})

    def purge(self, queue: str) -> None:
        with wire.channel(self.amqp_url) as channel:
            channel.queue_purge(queue)

    def ready(self, queue: str) -> int:
        """The number of messages in the queue that are not delivered to a consumer."""
        with wire.channel(self.amqp_url) as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)

    def template(self, queue: str) -> wire.Frames:
        """Remove the only message of the queue, and return it as a template for copies."""
        with wire.channel(self.amqp_url) as channel:
            message = channel.basic_get(queue, no_ack=True)
            if message is None:
                raise BenchError(f"no message arrived in {queue}")
            info = message.delivery_info
            body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
            return wire.Frames(info["exchange"], info["routing_key"], body, message.properties)

    def fill(self, template: wire.Frames, count: int) -> None:
        publisher = wire.Publisher(self.amqp_url)
        try:
            publisher.publish(template.copies(count))
        finally:
            publisher.close()

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


def wait_for(
    condition: Callable[[], bool], *, what: str, seconds: float, processes: ProcessGroup | None = None
) -> None:
    """Poll until the condition is true. Raises BenchError with the end of the processes' output after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        ended = processes.ended() if processes else {}
        if ended or time.monotonic() > deadline:
            output = "\n".join(processes.tail(name) for name in processes.children) if processes else ""
            raise BenchError(f"no {what} within {seconds:.0f} s{f', ended: {ended}' if ended else ''}\n{output}")
        time.sleep(POLL_SECONDS)


@contextmanager
def private_world(directory: Path, name: str = NAME) -> Iterator[World]:
    """Create a database and a virtual host with this name, and drop them afterwards."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    url = _with_path(settings.RABBITMQ_URL, name).replace("pyamqp://", "amqp://", 1)
    world = World(
        amqp_url=url,
        database_url=_with_path(settings.DATABASE_DIRECT_URL, name),
        directory=directory,
        api=ManagementApi(settings.RABBITMQ_MANAGEMENT_URL, name),
        name=name,
    )
    server = settings.DATABASE_DIRECT_URL
    world.api.recreate_vhost()
    _drop_database(server, name)
    try:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        _use(world)
        _wait_for_vhost(world)
        yield world
    finally:
        connections.close_all()
        _drop_database(server, name)
        world.api.call("DELETE", f"vhosts/{name}")


def _use(world: World) -> None:
    """Let the Django of this process use the world, and create its tables."""
    settings.RABBITMQ_URL = world.amqp_url.replace("amqp://", "pyamqp://", 1)
    settings.DATABASE_DIRECT_URL = world.database_url
    settings.DATABASES["default"]["NAME"] = world.name
    os.environ.update(DATABASE_URL=world.database_url, DATABASE_DIRECT_URL=world.database_url)
    call_command("migrate", verbosity=0)
    world.execute(effect.TABLE)


def _wait_for_vhost(world: World) -> None:
    def answers() -> bool:
        try:
            with wire.channel(world.amqp_url):
                return True
        except (OSError, AMQPError):
            return False

    wait_for(answers, what="virtual host", seconds=20)


def _drop_database(server: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _with_path(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()
