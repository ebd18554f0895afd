"""Redirects from former addresses of the panel, for bookmarks and for links in old notifications."""

import re
from collections.abc import Callable

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, QueryDict
from django.urls import re_path, reverse
from django.utils.encoding import escape_uri_path
from django.views.decorators.http import require_http_methods

# Former and present names of fields by which lists are filtered.
_FIELDS = {"sfc": "assignment", "run": "play"}
# The parameter in which a row's page keeps the filters of the list that leads to it, as a query of its own.
_LIST_FILTERS = "_changelist_filters"


def _moved_to(model: str) -> Callable[..., HttpResponse]:
    """Redirect any page under the model's old name to the same page under the new one. A form of a page that was opened
    before the upgrade is sent on as it is.
    """

    @require_http_methods(["GET", "HEAD", "POST"])
    def view(request: HttpRequest, rest: str) -> HttpResponse:
        address = reverse(f"admin:{model}_changelist") + escape_uri_path(rest)
        query = _query_now(request.GET).urlencode()
        address = f"{address}?{query}" if query else address
        return HttpResponsePermanentRedirect(address, preserve_request=request.method == "POST")

    return admin.site.admin_view(view)


def _query_now(query: QueryDict) -> QueryDict:
    now = QueryDict(mutable=True)
    for key, values in query.lists():
        inner = key == _LIST_FILTERS
        now.setlist(_field_now(key), [_query_now(QueryDict(value)).urlencode() if inner else value for value in values])
    return now


def _field_now(key: str) -> str:
    return re.sub(r"^(sfc|run)(?=__|$)", lambda found: _FIELDS[found[0]], key)


urlpatterns = [
    re_path(r"^scripts/scriptforcampaign/(?P<rest>.*)$", _moved_to("scripts_assignment"), name="moved-assignment"),
    re_path(r"^scripts/run/(?P<rest>.*)$", _moved_to("scripts_play"), name="moved-play"),
    re_path(r"^bots/trouble/(?P<rest>.*)$", _moved_to("bots_incident"), name="moved-incident"),
]
