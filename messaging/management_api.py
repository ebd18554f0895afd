"""RabbitMQ's management API: what the broker says about itself."""

import base64
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from django.conf import settings
from kombu import Connection

_SECONDS = 10.0


class ManagementUnavailable(Exception):
    """The management API cannot be asked; the text says why."""


class ManagementApi:
    """`url` as in `RABBITMQ_MANAGEMENT_URL`: http://user:password@host:port."""

    def __init__(self, url: str, vhost: str) -> None:
        parts = urlsplit(url)
        self._base = f"{parts.scheme}://{parts.hostname}:{parts.port}/api/"
        credentials = f"{unquote(parts.username or 'guest')}:{unquote(parts.password or 'guest')}"
        self._authorization = "Basic " + base64.b64encode(credentials.encode()).decode()
        self.user = unquote(parts.username or "guest")
        self.vhost = vhost

    @classmethod
    def from_settings(cls) -> "ManagementApi":
        if not settings.RABBITMQ_MANAGEMENT_URL:
            raise ManagementUnavailable("RABBITMQ_MANAGEMENT_URL is not set")
        return cls(settings.RABBITMQ_MANAGEMENT_URL, Connection(settings.RABBITMQ_URL).virtual_host or "/")

    def in_vhost(self, kind: str) -> list[dict[str, Any]]:
        """All `exchanges`, `queues` or `bindings` of the virtual host."""
        found: list[dict[str, Any]] = self.call("GET", f"{kind}/{quote(self.vhost, safe='')}")
        return found

    def queue(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"queues/{quote(self.vhost, safe='')}/{quote(name, safe='')}")
        return found

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request; the decoded JSON answer, or None for an empty one."""
        request = urllib.request.Request(
            self._base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": self._authorization, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
                content = answer.read()
        except urllib.error.HTTPError as problem:
            raise ManagementUnavailable(f"{method} {path}: {problem.code} {problem.reason}") from None
        except OSError as problem:
            raise ManagementUnavailable(f"{self._base}: {getattr(problem, 'reason', problem)}") from None
        return json.loads(content) if content else None
