"""Error pages: what happened, what to do next, and a way back. Addresses below /api/ answer JSON.

They need neither a login nor the database, because the database may be the cause.
"""

import sys
from urllib.parse import urlsplit

from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

# A database that restarts is back by then.
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
    """`ways` are links from this page, by default to the overview and to the previous page."""
    if request.path.startswith(_API):
        answer: HttpResponse = JsonResponse({"detail": text}, status=status)
    else:
        context = {"status": status, "title": title, "text": text, "advice": advice, "ways": ways or _ways(request)}
        # Without the request: the context processors would read the user from the database.
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
    text = "Your browser sent a request that CoolThing does not understand."
    advice = "Go back, reload the page and try again. If you typed the address, check it for mistakes."
    if isinstance(exception, DisallowedHost):
        text = "The panel does not answer under this host name."
        advice = "Use the usual address, or add this name to DJANGO_ALLOWED_HOSTS."
    return error_page(request, 400, "Invalid request", text, advice)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return error_page(
        request,
        403,
        "Permission denied",
        str(exception or "") or "Your login does not have the permission for this page.",
        "Ask an administrator for the permission, or log in with another account.",
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return error_page(
        request,
        404,
        "Page not found",
        _API_NOT_FOUND
        if request.path.startswith(_API)
        else "No page has this address, or the object on this page was deleted.",
        "Look for the object in the lists of the panel. If you typed the address, check it for mistakes.",
    )


def server_error(request: HttpRequest) -> HttpResponse:
    # Django calls this while it handles the exception.
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        return _database_away(request)
    return error_page(
        request,
        500,
        "Internal error",
        "CoolThing could not answer because of an error. Your changes may not have been saved.",
        "Try again in a minute. If it fails again, look at the log of the web process at "
        f"{timezone.now():%H:%M:%S} UTC. /health/ shows whether the database answers.",
    )


def _database_away(request: HttpRequest) -> HttpResponse:
    lost = "" if request.method in ("GET", "HEAD") else " Your changes may not have been saved."
    return error_page(
        request,
        503,
        "Database unavailable",
        f"CoolThing could not answer because its database does not respond.{lost}",
        "Try again in a minute. /health/ shows whether the database is back.",
        retry_after=RETRY_SECONDS,
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return error_page(
        request,
        403,
        "Form not accepted",
        "Nothing was saved: you opened the form before you logged in, or your browser did not send the panel's cookie.",
        "Go back, reload the page and send the form again. If that does not help, allow cookies for this address. "
        "Behind a proxy the address must be in DJANGO_CSRF_TRUSTED_ORIGINS.",
    )


def nul_in_address(request: HttpRequest) -> HttpResponse:
    text = "The address contains a NUL character (%00)."
    return error_page(request, 400, "Invalid request", text, "Remove it from the address.")
