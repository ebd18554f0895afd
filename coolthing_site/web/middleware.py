"""Middleware for every address of the panel and the API."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

from coolthing_site.web.error_pages import nul_in_address

# Of what a browser can do besides showing pages, the panel needs nothing.
PERMISSIONS_POLICY = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer", "microphone",
        "midi", "payment", "usb",
    )
)  # fmt: skip

# Their answers show a secret: a new API token, the login that a QR code carries.
WITH_SECRETS = frozenset(
    {"admin:coolthing_site_apitoken_add", "admin:bots_bot_login", "admin:bots_bot_login_progress"},
)


class Compression(GZipMiddleware):
    """Lists are 20 times smaller so.

    BREACH guesses a secret from the size of compressed answers that repeat what the attacker sent beside it. Django
    pads each answer by a random length, which makes that slower, and masks the CSRF token anew each time; other
    secrets are on the pages of WITH_SECRETS alone, and these are sent as they are.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        found = request.resolver_match
        if found is not None and found.view_name in WITH_SECRETS:
            return response
        return super().process_response(request, response)


def permissions_policy(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        return response

    return middleware


def refuse_nul(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """PostgreSQL's texts hold no NUL, and psycopg raises where one is looked for: no page could answer."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
            return nul_in_address(request)
        return get_response(request)

    return middleware
