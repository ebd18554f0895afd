"""Error pages: what happened, what to do next, and a way back. Addresses below /api/ answer JSON.

They need neither a login nor the database, since it may be the database that is away.
"""

import sys
from urllib.parse import urlsplit

from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

# A database that is started again is back by then.
RETRY_SECONDS = 30
_API = "/api/"
_API_NOT_FOUND = "Not found: the API has no such endpoint."
# Label and address of a link.
Way = tuple[str, str]


def error_page(
    request: HttpRequest,
    status: int,
    title: str,
    text: str,
    advice: str = "",
    *,
    ways: list[Way] | None = None,
    retry_after: int | None = None,
) -> HttpResponse:
    """`ways` lead on from here; without them, to the overview and to the page before."""
    if request.path.startswith(_API):
        answer: HttpResponse = JsonResponse({"detail": text}, status=status)
    else:
        context = {"status": status, "title": title, "text": text, "advice": advice, "ways": ways or _ways(request)}
        # Without the request: the context processors would ask the database who is logged in.
        answer = HttpResponse(render_to_string("errors/page.html", context), status=status)
    if retry_after is not None:
        answer["Retry-After"] = str(retry_after)
    answer["Cache-Control"] = "no-store"
    return answer


def _ways(request: HttpRequest) -> list[Way]:
    ways = [("Go to the overview", reverse("admin:index"))]
    came_from = urlsplit(request.META.get("HTTP_REFERER", ""))
    here = came_from.path == request.path and came_from.query == request.META.get("QUERY_STRING", "")
    if came_from.netloc and came_from.netloc == _host(request) and not here:
        back = came_from._replace(scheme="", netloc="", fragment="").geturl()
        # "//example.org/" would be another site's address.
        ways.append(("Back to the previous page", f"/{back.lstrip('/')}"))
    return ways


def _host(request: HttpRequest) -> str:
    try:
        return request.get_host()
    except DisallowedHost:
        return ""


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    text = "Your browser sent something that no page understands."
    advice = "Go back, reload the page and try again. An address that you typed may have a mistake."
    if isinstance(exception, DisallowedHost):
        text = "The panel does not answer under this host name."
        advice = "Use the usual address, or add this name to DJANGO_ALLOWED_HOSTS."
    return error_page(request, 400, "The request is not valid", text, advice)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return error_page(
        request,
        403,
        "You may not do this",
        str(exception or "") or "Your login does not have the permission for this page.",
        "Ask an administrator for the permission, or log in with another account.",
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return error_page(
        request,
        404,
        "There is nothing here",
        _API_NOT_FOUND if request.path.startswith(_API) else "No page has this address, or what it showed was deleted.",
        "Look for it in the lists of the panel. An address that you typed may have a mistake.",
    )


def server_error(request: HttpRequest) -> HttpResponse:
    # Django calls this while it handles the exception.
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        return _database_away(request)
    return error_page(
        request,
        500,
        "This page failed",
        "CoolThing could not answer. What you sent may not have been saved.",
        "Try again in a minute. If it fails again, look into the log of the web process at "
        f"{timezone.now():%H:%M:%S} UTC; /health/ says whether the database answers.",
    )


def _database_away(request: HttpRequest) -> HttpResponse:
    lost = "" if request.method in ("GET", "HEAD") else " What you sent may not have been saved."
    return error_page(
        request,
        503,
        "The database does not answer",
        f"CoolThing could not answer because its database is away.{lost}",
        "Try again in a minute; /health/ says whether it is back.",
        retry_after=RETRY_SECONDS,
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return error_page(
        request,
        403,
        "The form was not accepted",
        "Nothing was saved: the form is older than your login, or your browser did not send the panel's cookie.",
        "Go back, reload the page and send the form again. If that does not help, allow cookies for this address. "
        "Behind a proxy the address must be in DJANGO_CSRF_TRUSTED_ORIGINS.",
    )


def nul_in_address(request: HttpRequest) -> HttpResponse:
    text = "The address has a NUL character (%00)."
    return error_page(request, 400, "The request is not valid", text, "Remove it from the address.")
