"""The page on which operators edit a dead letter: they enter or upload a body, see the diff, then save or replay."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from messaging.broker.routing import Address
from messaging.dead_letters import addresses, services
from messaging.dead_letters.addresses import UNCHANGED
from messaging.dead_letters.bodies import Draft, draft
from messaging.events import MAX_BODY_BYTES, is_known
from messaging.models import DeadLetter
from panelkit.errors import NotPossible
from panelkit.operation_pages import OperatingAdmin
from panelkit.operations import Operation
from texts import decoding

EDIT = Operation("edit", "Edit", run=lambda *_: None, done="", icon="edit", page=True, right=services.EDIT_RIGHT)
DOWNLOAD = Operation("body", "Download body", run=lambda *_: None, done="", icon="download", page=True)

# How much of Django's limit for a form is reserved for the other fields (bytes).
_OTHER_FIELDS = 64 * 1024
_TOO_LARGE = (
    "The body is too large for this page: download it, edit the file, and upload the file here. Without a file you "
    "change only the exchange and the routing key."
)


class DeadLetterForm(forms.Form):
    """The exchange and key for replays. An empty exchange leaves both unchanged."""

    exchange = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)
    routing_key = forms.CharField(
        label="Routing key", required=False, max_length=255, widget=UnfoldAdminTextInputWidget
    )
    body = forms.CharField(
        label="Body", required=False, strip=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 24})
    )
    file = forms.FileField(
        label="File with the body",
        required=False,
        widget=UnfoldAdminFileFieldWidget,
        help_text=f"A JSON file of at most {MAX_BODY_BYTES // 2**20} MiB, used instead of the text above. "
        "CoolThing saves it without a preview; the page of the dead letter then shows the changes.",
    )

    def __init__(self, *args: Any, letter: DeadLetter, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        original = Address(letter.exchange, letter.routing_key)
        exchanges = addresses.event_exchanges()
        choice: Any = self.fields["exchange"]
        choice.choices = [("", f"Unchanged: {original}"), *((name, name) for name in exchanges)]
        choice.help_text = "The exchange and the routing key determine the type of the event."
        known = " ".join(f"{name}: {addresses.keys_in_words(name)}." for name in exchanges)
        self.fields["routing_key"].help_text = f"Needed if you choose an exchange. {known}"

    def clean_file(self) -> str:
        """The text of the file."""
        upload: UploadedFile | None = self.cleaned_data["file"]
        if upload is None:
            return ""
        if (upload.size or 0) > MAX_BODY_BYTES:
            raise ValidationError(f"The file has {upload.size} bytes; the maximum is {MAX_BODY_BYTES}.")
        try:
            return decoding.only_certain(upload.read())
        except decoding.NotText as problem:
            raise ValidationError(f"The file cannot be read: {problem}. Save it as UTF-8.") from None

    @property
    def address(self) -> Address:
        exchange: str = self.cleaned_data["exchange"]
        return Address(exchange, self.cleaned_data["routing_key"].strip()) if exchange else UNCHANGED


class DeadLetterEditing(OperatingAdmin):
    def may_operate(self, request: HttpRequest, operation: Operation | None = None) -> bool:
        """Editing also requires the right to operate, because the page can replay."""
        allowed = super().may_operate(request, operation)
        return allowed and (operation is not EDIT or super().may_operate(request))

    def body_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The body as a download: a browser must not render it as a page of the panel."""
        letter = self.get_object(request, unquote(object_id))
        if letter is None:
            raise Http404
        if not self.has_view_permission(request, letter):
            raise PermissionDenied
        answer = HttpResponse(letter.body_to_send, content_type="application/octet-stream")
        answer.headers["Content-Disposition"] = f'attachment; filename="letter-{letter.pk}.json"'
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Cache-Control"] = "private, no-store"
        return answer

    def edit_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        letter = self.get_object(request, unquote(object_id))
        if letter is None:
            raise Http404
        if not self.may_operate(request, EDIT):
            raise PermissionDenied
        current = draft(letter)
        fits = _fits(current.text)
        step = request.POST.get("step", "")
        form = DeadLetterForm(
            request.POST or None, request.FILES or None, letter=letter, initial=_initial(letter, current)
        )
        preview = None
        if request.method == "POST" and form.is_valid():
            text = form.cleaned_data["file"] or form.cleaned_data["body"]
            if form.cleaned_data["file"] or (not text and not fits):
                step = "save"
            preview = self._previewed(letter, form, text)
            is_to_be_saved = preview is not None and step in ("save", "replay")
            if is_to_be_saved and self._save(request, letter, text or None, form.address, replay=step == "replay"):
                return HttpResponseRedirect(self._change_url(letter))
        context = {
            **self.admin_site.each_context(request),
            "title": "Edit dead letter",
            "opts": self.opts,
            "letter": letter,
            "note": current.note if fits else _TOO_LARGE,
            "form": form,
            "preview": preview if step != "edit" else None,
            "back": self._change_url(letter),
        }
        return TemplateResponse(request, "messaging/dead_letter_edit.html", context)

    def _previewed(self, letter: DeadLetter, form: DeadLetterForm, text: str) -> services.Preview | None:
        try:
            return services.preview(letter, text or letter.body_to_send, form.address)
        except NotPossible as refusal:
            form.add_error(None, str(refusal))
            return None

    def _save(
        self, request: HttpRequest, letter: DeadLetter, body: str | None, address: Address, *, replay: bool
    ) -> bool:
        by = str(request.user)
        try:
            services.dead_letter_edit(letter_id=letter.pk, body=body, address=address, by=by, holder=request.user)
            self.log_change(request, letter, "Edit.")
            if replay:
                services.dead_letter_replay(letter_id=letter.pk, by=by)
                self.log_change(request, letter, "Replay of the edited dead letter.")
        except NotPossible as refusal:
            self.message_user(request, f"{letter}: {refusal}", messages.ERROR)
            return False
        done = (
            "has been saved and is in the outbox." if replay else "has been saved. The next replay sends it as edited."
        )
        self.message_user(request, f"{letter} {done}", messages.SUCCESS)
        return True


def _initial(letter: DeadLetter, current: Draft) -> dict[str, str]:
    address = Address(letter.edited_exchange, letter.edited_routing_key)
    if not letter.is_readdressed and not is_known(letter.exchange, letter.routing_key):
        address = addresses.suggested(letter.queue, current.text)
    body = current.text if _fits(current.text) else ""
    return {"exchange": address.exchange, "routing_key": address.routing_key, "body": body}


def _fits(text: str) -> bool:
    """Whether a form can contain the text. Browsers send two bytes for the end of a line."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return limit is None or len(text.encode()) + text.count("\n") <= limit - _OTHER_FIELDS
