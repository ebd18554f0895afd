"""Limits of requests to the API, by span of time: counted in the database, so that they hold over all web processes.

A counter's span begins with its first request. One statement counts a request and says how many there were, so that
requests at the same moment all count.
"""

from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from coolthing_site.api_tokens import ApiTokenAuthentication
from coolthing_site.client_address import client_address

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

_COUNT = """
INSERT INTO coolthing_site_requestcount AS counter (key, count, ends_at)
VALUES (%(key)s, 1, statement_timestamp() + make_interval(secs => %(span)s))
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN counter.ends_at > statement_timestamp() THEN counter.count + 1 ELSE 1 END,
    ends_at = CASE WHEN counter.ends_at > statement_timestamp() THEN counter.ends_at ELSE EXCLUDED.ends_at END
RETURNING count, EXTRACT(EPOCH FROM ends_at - statement_timestamp())
"""
_READ = """
SELECT count, EXTRACT(EPOCH FROM ends_at - statement_timestamp()) FROM coolthing_site_requestcount
WHERE key = %(key)s AND ends_at > statement_timestamp()
"""


class Counted(NamedTuple):
    """Requests in this span, and the seconds until it ends."""

    requests: int
    seconds: float


def count(key: str, span: timedelta) -> Counted:
    """Count one more request."""
    return _ask(_COUNT, key, span)


def counted(key: str) -> Counted:
    return _ask(_READ, key, timedelta())


def _ask(statement: str, key: str, span: timedelta) -> Counted:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"key": key, "span": span.total_seconds()})
        row = cursor.fetchone()
    return Counted(row[0], float(row[1])) if row else Counted(0, 0.0)


class LimitedTokenAuthentication(ApiTokenAuthentication):
    """After too many wrong tokens from an address none is looked at, the right one neither."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        if not get_authorization_header(request):
            return None
        key = f"failed tokens of {client_address(_plain(request))}"
        before = counted(key)
        if before.requests >= settings.API_FAILED_TOKENS_PER_HOUR:
            raise Throttled(before.seconds)
        try:
            return super().authenticate(request)
        except AuthenticationFailed:
            count(key, HOUR)
            raise


class AnonymousLimit(BaseAuthentication):
    """The last of the authentication classes: who comes here has no login, and is refused by a permission before a
    throttle is asked."""

    def authenticate(self, request: Request) -> None:
        now = count(f"anonymous requests of {client_address(_plain(request))}", MINUTE)
        if now.requests > settings.API_ANONYMOUS_PER_MINUTE:
            raise Throttled(now.seconds)


class UserLimit(BaseThrottle):
    """Of all tokens and sessions of a user together."""

    left = 0.0

    def allow_request(self, request: Request, _view: Any) -> bool:
        now = count(f"requests of user {request.user.pk}", MINUTE)
        self.left = now.seconds
        return now.requests <= int(settings.API_USER_PER_MINUTE)

    def wait(self) -> float:
        return self.left


def _plain(request: Request) -> HttpRequest:
    return request._request
