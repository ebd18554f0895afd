"""What concerns every address, the panel's and the API's."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from coolthing_site.errors import nul_in_address


def refuse_nul(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """PostgreSQL's texts hold no NUL, and psycopg raises where one is looked for: no page could answer."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
            return nul_in_address(request)
        return get_response(request)

    return middleware
