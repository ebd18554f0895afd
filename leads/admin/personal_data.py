"""Exports and erases the personal data of the person behind a lead or a conversation, from its page."""

from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.core.serializers.json import DjangoJSONEncoder
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path, reverse

from campaigns.erasing import ERASE_RIGHT, person_erase, person_named
from leads.models import Conversation, Lead
from panelkit import audit
from panelkit.base import FactAdmin
from panelkit.errors import NotPossible
from panelkit.operations import Call, Offer, Operation
from privacy.exporting import export_require, person_export
from privacy.person import Person

EXPORT = Operation("person", "Export personal data", run=lambda *_: None, done="", icon="download", page=True)


def person_of(row: Lead | Conversation) -> Person:
    """The person behind the row. Raises NotPossible if only a username is known and several people have had it."""
    lead = row.lead if isinstance(row, Conversation) else row
    conversation = getattr(lead, "conversation", None)
    who = lead.telegram_user_id or (conversation.peer_id if conversation is not None else None)
    return Person(who) if who is not None else person_named(f"@{lead.username}")


def _erase(row: Lead | Conversation, call: Call) -> None:
    counts, suppression = person_erase(person_of(row), by=call.request.user)
    message = f"Erased: {sum(counts.values())} rows."
    audit.record(suppression, message=message, user_id=call.request.user.pk or 0)


ERASE = Operation(
    "erase",
    "Erase the person",
    run=_erase,
    done="is erased, with all other personal data of the person. Only a hash stays, so that no account writes to the "
    "person again.",
    icon="person_remove",
    variant="danger",
    confirm="Erase the person's data if the person has asked you to. This permanently erases the person's leads, hits, "
    "conversations and messages, the texts sent to the person, and dead letters and other records that mention the "
    "person, in every campaign. No account writes to the person again. If the person has also asked for a copy of the "
    "data, export it first.",
    removes=True,
    right=ERASE_RIGHT,
)


class PersonAdmin(FactAdmin):
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.person_view)
        return [path("<path:object_id>/person.json", view, name=self._url_name("person")), *super().get_urls()]

    def offers(self, request: HttpRequest, row: Any) -> list[Offer]:
        try:
            export_require(request.user)
        except PermissionDenied:
            return super().offers(request, row)
        url = reverse(f"admin:{self._url_name('person')}", args=(quote(row.pk),))
        return [*super().offers(request, row), Offer(EXPORT, url)]

    def person_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        try:
            data = person_export(person_of(row), by=request.user)
        except NotPossible as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
            return HttpResponseRedirect(self._change_url(row))
        layout = {"indent": 2, "ensure_ascii": False}
        answer = JsonResponse(data, encoder=DjangoJSONEncoder, json_dumps_params=layout)
        answer.headers["Content-Disposition"] = 'attachment; filename="person.json"'
        answer.headers["Cache-Control"] = "private, no-store"
        return answer
