"""RabbitMQ's management API: what the broker says about itself."""

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
# Bytes of an answer: ten thousand queues with all their figures need less.
_MOST_BYTES = 50_000_000


class ManagementUnavailable(Exception):
    """The management API cannot be asked, or refuses; the text says why. `status` is its HTTP answer, if any."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class ManagementApi:
    """`url` as in `RABBITMQ_MANAGEMENT_URL`: http://user:password@host:port. `seconds` bound each step of a request."""

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
        """Make the virtual host anew: what was in it is gone, and this user may do everything there."""
        path = f"vhosts/{quote(self.vhost, safe='')}"
        try:
            self.call("DELETE", path)
        except ManagementUnavailable as problem:
            if problem.status != httpx2.codes.NOT_FOUND:
                raise
        self.call("PUT", path, {})

    def call(self, method: str, path: str, body: object = None, query: dict[str, int] | None = None) -> Any:
        """One request; the decoded JSON answer, or None for an empty one."""
        try:
            # The environment's proxies are not meant for the broker.
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
    """Reading the machine's certificates takes twenty times as long as a request."""
    return ssl.create_default_context()
