"""Creates the demo's own database and virtual host anew at each start, so that they contain no older data."""

import secrets
import socket
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.conf import settings
from django.core.management.base import CommandError
from psycopg import sql

from coolthing_site.processes.procfile import base_environment, sandbox_environment
from messaging.broker.management_api import ManagementApi, ManagementUnavailable

SUFFIX = "_demo"
TIMEOUT_SECONDS = 10.0
# Bound sockets that never listen. A process starts to listen on its port seconds after the port was chosen; without
# these sockets the kernel could give the port to another program meanwhile.
_kept: list[socket.socket] = []


def demo_environment(work_dir: Path) -> dict[str, str]:
    """Create the demo's database and virtual host. Returns the environment that points all processes at them."""
    if not settings.RABBITMQ_MANAGEMENT_URL:
        raise CommandError("set RABBITMQ_MANAGEMENT_URL: the demo reads its queues from the management API")
    database_url = _with_path_suffix(settings.DATABASE_DIRECT_URL)
    rabbitmq_url = _with_path_suffix(settings.RABBITMQ_URL)
    _recreate_database(settings.DATABASE_DIRECT_URL, urlsplit(database_url).path.lstrip("/"))
    _recreate_vhost(urlsplit(rabbitmq_url).path.lstrip("/"))
    mtproto_port, http_port, web_port, flower_port = free_ports(4)
    return {
        **base_environment(),
        **sandbox_environment(mtproto_port=mtproto_port, http_port=http_port, key_dir=work_dir / "sandbox"),
        "DATABASE_URL": database_url,
        "DATABASE_DIRECT_URL": database_url,
        "RABBITMQ_URL": rabbitmq_url,
        "WEB_PORT": str(web_port),
        "FLOWER_PORT": str(flower_port),
        "FLOWER_BASIC_AUTH": f"demo:{secrets.token_urlsafe(12)}",
        "METRICS_TOKEN": secrets.token_urlsafe(24),
    }


def free_ports(count: int) -> list[int]:
    """Different free loopback ports, which the kernel gives to no other program while this process runs.

    A server can listen on them if it sets SO_REUSEADDR, as servers usually do.
    """
    sockets = [socket.socket() for _ in range(count)]
    for listener in sockets:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
    _kept.extend(sockets)
    return [listener.getsockname()[1] for listener in sockets]


def _with_path_suffix(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/') or '/coolthing'}{SUFFIX}"))


def _recreate_database(server_url: str, name: str) -> None:
    dsn = urlunsplit(urlsplit(server_url)._replace(scheme="postgresql"))
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=int(TIMEOUT_SECONDS)) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.Error as error:
        raise CommandError(f"the demo cannot create its database {name}: {str(error).strip()}") from error


def _recreate_vhost(name: str) -> None:
    try:
        ManagementApi(settings.RABBITMQ_MANAGEMENT_URL, name).recreate_vhost()
    except ManagementUnavailable as problem:
        raise CommandError(f"the demo cannot create its virtual host {name}: {problem}") from None
