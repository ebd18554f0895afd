"""The panel's addresses from before assignments and plays had their names: bookmarks and links in old notifications."""

import re
from collections.abc import Callable
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.urls import re_path, reverse
from django.utils.encoding import escape_uri_path
from django.views.decorators.http import require_safe

# Filters of the lists go by the fields' names.
_FIELDS = {"sfc": "assignment", "run": "play"}


def _moved_to(model: str) -> Callable[..., HttpResponse]:
    """Leads from any page of the model's old name to the same page of the new one."""

    @require_safe
    def view(request: HttpRequest, rest: str) -> HttpResponse:
        address = reverse(f"admin:scripts_{model}_changelist") + escape_uri_path(rest)
        query = [(_field_now(key), value) for key, values in request.GET.lists() for value in values]
        return HttpResponsePermanentRedirect(f"{address}?{urlencode(query)}" if query else address)

    return admin.site.admin_view(view)


def _field_now(key: str) -> str:
    return re.sub(r"^(sfc|run)(?=__|$)", lambda found: _FIELDS[found[0]], key)


urlpatterns = [
    re_path(r"^scriptforcampaign/(?P<rest>.*)$", _moved_to("assignment"), name="moved-assignment"),
    re_path(r"^run/(?P<rest>.*)$", _moved_to("play"), name="moved-play"),
]
