"""Limits requests to the API by span of time, counted in the database, so that they hold over all web processes.

A counter's span begins with its first request. One statement counts a request and says how many there were, so that
requests at the same moment all count.
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
    """Requests in this span, and the seconds until it ends."""

    requests: int
    seconds: float


def count(key: str, span: timedelta) -> Counted:
    """Count one more request."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"key": key, "span": span.total_seconds()})
        requests, seconds = cursor.fetchone()
    return Counted(requests, float(seconds))


class LimitedTokenAuthentication(ApiTokenAuthentication):
    """Wrong tokens of an address are counted, and refused with 429 when there were too many. A right token is taken all
    the same: nobody guesses one, and its owner may share the address with whoever sends the wrong ones."""

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
    """The limit of all tokens and sessions of a user together. It is looked at before the permissions, so that refused
    requests count."""
    if found is not None:
        now = count(f"requests of user {found[0].pk}", MINUTE)
        if now.requests > settings.API_USER_PER_MINUTE:
            raise Throttled(now.seconds)
    return found


class AnonymousLimit(BaseAuthentication):
    """The last of the authentication classes: who comes here has no login."""

    def authenticate(self, request: Request) -> None:
        now = count(f"anonymous requests of {client_address(_plain(request))}", MINUTE)
        if now.requests > settings.API_ANONYMOUS_PER_MINUTE:
            raise Throttled(now.seconds)


def _plain(request: Request) -> HttpRequest:
    return request._request
