"""Middleware for all addresses of the panel and the API."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

from coolthing_site.web.error_pages import nul_in_address

# Features of browsers, none of which the panel needs.
PERMISSIONS_POLICY = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer", "microphone",
        "midi", "payment", "usb",
    )
)  # fmt: skip

# Pages that show a secret: a new API token, or a QR code for a login.
WITH_SECRETS = frozenset(
    {"admin:coolthing_site_apitoken_add", "admin:bots_bot_login", "admin:bots_bot_login_progress"},
)


class Compression(GZipMiddleware):
    """Compresses responses. Lists become 20 times smaller.

    The BREACH attack guesses a secret from the sizes of compressed responses that contain both the secret and input of
    the attacker. Django makes this slower by adding a random length to each response, and masks the CSRF token
    differently each time. Other secrets are only on the pages in WITH_SECRETS, which are not compressed.
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
    """Refuse addresses with NUL characters: PostgreSQL's texts cannot contain them, and psycopg raises an error."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
            return nul_in_address(request)
        return get_response(request)

    return middleware
