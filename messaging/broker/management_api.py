"""A client of RabbitMQ's management API."""

import json
import ssl
from functools import cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx2
from django.conf import settings
from kombu import Connection

from outgoing.http_answers import body_of

_SECONDS = 10.0
# The largest response, in bytes. The statistics of ten thousand queues need less.
_MOST_BYTES = 50_000_000


class ManagementUnavailable(Exception):
    """The management API cannot be reached, or refused a request. `status` is the HTTP status, if there is one."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class ManagementApi:
    """The management API of one virtual host. Its methods raise ManagementUnavailable.

    `url` is in the form of `RABBITMQ_MANAGEMENT_URL`: http://user:password@host:port. `seconds` is the timeout of each
    step of a request.
    """

    def __init__(self, url: str, vhost: str, seconds: float = _SECONDS) -> None:
        parts = urlsplit(url)
        self.user = unquote(parts.username or "guest")
        self.vhost = vhost
        self._base = parts._replace(
            netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path.rstrip('/')}/api/"
        ).geturl()
        self._auth = (self.user, unquote(parts.password or "guest"))
        self._seconds = seconds

    @classmethod
    def from_settings(cls, seconds: float = _SECONDS) -> "ManagementApi":
        if not settings.RABBITMQ_MANAGEMENT_URL:
            raise ManagementUnavailable("RABBITMQ_MANAGEMENT_URL is not set")
        vhost = Connection(settings.RABBITMQ_URL).virtual_host or "/"
        return cls(settings.RABBITMQ_MANAGEMENT_URL, vhost, seconds)

    def in_vhost(self, kind: str, **query: int) -> list[dict[str, Any]]:
        """All `exchanges`, `queues` or `bindings` of the virtual host."""
        found: list[dict[str, Any]] = self.call("GET", f"{kind}/{quote(self.vhost, safe='')}", query=query)
        return found

    def queue(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"queues/{quote(self.vhost, safe='')}/{quote(name, safe='')}")
        return found

    def recreate_vhost(self) -> None:
        """Delete the virtual host with everything in it and create it again, with all permissions for this user."""
        path = f"vhosts/{quote(self.vhost, safe='')}"
        try:
            self.call("DELETE", path)
        except ManagementUnavailable as problem:
            if problem.status != httpx2.codes.NOT_FOUND:
                raise
        self.call("PUT", path, {})

    def call(self, method: str, path: str, body: object = None, query: dict[str, int] | None = None) -> Any:
        """Make one request. Returns the decoded JSON response, or None if it is empty."""
        try:
            # Ignore the environment's proxies, which are not meant for the broker.
            with httpx2.Client(auth=self._auth, timeout=self._seconds, trust_env=False, verify=_tls()) as client:
                with client.stream(method, self._base + path, json=body, params=query or None) as answer:
                    answer.raise_for_status()
                    content = body_of(answer, most=_MOST_BYTES)
                return json.loads(content) if content else None
        except httpx2.HTTPStatusError as problem:
            answer = problem.response
            raise ManagementUnavailable(
                f"{method} {path}: {answer.status_code} {answer.reason_phrase}", answer.status_code
            ) from None
        except (httpx2.HTTPError, ValueError) as problem:
            raise ManagementUnavailable(f"{self._base}: {problem or type(problem).__name__}") from None


@cache
def _tls() -> ssl.SSLContext:
    """Cached, because reading the machine's certificates takes twenty times as long as a request."""
    return ssl.create_default_context()
