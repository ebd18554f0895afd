"""`/metrics` for Prometheus: from this machine, or with the bearer token of METRICS_TOKEN."""

import ipaddress
import logging

from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from bots.metrics import BotsCollector
from messaging.metrics import render

log = logging.getLogger(__name__)

_PLAIN = "text/plain; charset=utf-8"
# A proxy on this machine asks for others, and says so.
_FORWARDING = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_X_FORWARDED_HOST")


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    if not (_has_token(request) or _is_local(request)):
        refused = HttpResponse("metrics are for this machine, or for a bearer token\n", status=401, content_type=_PLAIN)
        refused["WWW-Authenticate"] = "Bearer"
        return refused
    try:
        body, content_type = render(request.headers.get("Accept", ""), BotsCollector())
    except Error as problem:
        log.error("no metrics: the database cannot be read: %s", str(problem).strip())
        return HttpResponse("the database cannot be read\n", status=503, content_type=_PLAIN)
    return HttpResponse(body, content_type=content_type)


def _has_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    wanted = settings.METRICS_TOKEN
    return bool(wanted) and scheme.lower() == "bearer" and constant_time_compare(token.strip(), wanted)


def _is_local(request: HttpRequest) -> bool:
    if any(name in request.META for name in _FORWARDING):
        return False
    try:
        peer = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return (getattr(peer, "ipv4_mapped", None) or peer).is_loopback
