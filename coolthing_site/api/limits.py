"""Limits the requests to the API in a span of time. The counters are in the database, shared by all web processes.

A counter's span begins with its first request. One statement counts a request and returns the count, so simultaneous
requests are all counted.
"""

from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from coolthing_site.api.tokens import ApiTokenAuthentication
from coolthing_site.web.client_address import client_address

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

_COUNT = """
INSERT INTO coolthing_site_requestcount AS counter (key, count, ends_at)
VALUES (%(key)s, 1, statement_timestamp() + make_interval(secs => %(span)s))
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN counter.ends_at > statement_timestamp() THEN counter.count + 1 ELSE 1 END,
    ends_at = CASE WHEN counter.ends_at > statement_timestamp() THEN counter.ends_at ELSE EXCLUDED.ends_at END
RETURNING count, EXTRACT(EPOCH FROM ends_at - statement_timestamp())
"""


class Counted(NamedTuple):
    """The number of requests in the current span, and the seconds until the span ends."""

    requests: int
    seconds: float


def count(key: str, span: timedelta) -> Counted:
    """Count a request for `key`. A new span lasts for `span`."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"key": key, "span": span.total_seconds()})
        requests, seconds = cursor.fetchone()
    return Counted(requests, float(seconds))


class LimitedTokenAuthentication(ApiTokenAuthentication):
    """Answers 429 to wrong tokens from an address that has sent too many of them.

    Valid tokens are still accepted from this address: tokens cannot be guessed, and the owner of a valid token may
    share the address with the client that sends wrong tokens.
    """

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        try:
            return _within_limit(super().authenticate(request))
        except AuthenticationFailed:
            now = count(f"failed tokens of {client_address(_plain(request))}", HOUR)
            if now.requests > settings.API_FAILED_TOKENS_PER_HOUR:
                raise Throttled(now.seconds) from None
            raise


class LimitedSessionAuthentication(SessionAuthentication):
    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        return _within_limit(super().authenticate(request))


def _within_limit(found: tuple[Any, Any] | None) -> tuple[Any, Any] | None:
    """Check the limit of a user, for all tokens and sessions together.

    The check precedes that of the permissions, so requests without the permission count as well.
    """
    if found is not None:
        now = count(f"requests of user {found[0].pk}", MINUTE)
        if now.requests > settings.API_USER_PER_MINUTE:
            raise Throttled(now.seconds)
    return found


class AnonymousLimit(BaseAuthentication):
    """The last authentication class. It gets only requests that no other class has authenticated."""

    def authenticate(self, request: Request) -> None:
        now = count(f"anonymous requests of {client_address(_plain(request))}", MINUTE)
        if now.requests > settings.API_ANONYMOUS_PER_MINUTE:
            raise Throttled(now.seconds)


def _plain(request: Request) -> HttpRequest:
    return request._request
