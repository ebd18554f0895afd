"""`/metrics` for Prometheus, with the bearer token of METRICS_TOKEN.

Requests from loopback need the token too, because a reverse proxy on the same host forwards requests from anywhere.
"""

import logging
from functools import cache

from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from bots.metrics import BotsCollector
from messaging.observability.metrics import render

log = logging.getLogger(__name__)

_PLAIN = "text/plain; charset=utf-8"


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    if not settings.METRICS_TOKEN:
        _warn_once()
        return HttpResponse("there are no metrics here\n", status=404, content_type=_PLAIN)
    if not _has_token(request):
        refused = HttpResponse("metrics need a bearer token\n", status=401, content_type=_PLAIN)
        refused["WWW-Authenticate"] = "Bearer"
        return refused
    try:
        body, content_type = render(request.headers.get("Accept", ""), BotsCollector())
    except Error as problem:
        log.error("no metrics: the database cannot be read: %s", str(problem).strip())
        return HttpResponse("the database cannot be read\n", status=503, content_type=_PLAIN)
    return HttpResponse(body, content_type=content_type)


@cache
def _warn_once() -> None:
    log.warning("/metrics was requested, but METRICS_TOKEN is not set: it answers 404")


def _has_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and constant_time_compare(token.strip(), settings.METRICS_TOKEN)
