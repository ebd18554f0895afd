"""The page of the gate preview: "may this be sent now?". It sends and records nothing."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from bots.gate.preview import GatePreview, delivery_preview, draft_for, draft_preview
from bots.gate.verdicts import Allow, Refuse, Verdict, Wait
from bots.models import Bot, Delivery
from campaigns.identifiers import is_person_id, is_username
from campaigns.models import Campaign, Chat, Purpose
from panelkit.base import FactAdmin
from panelkit.labels import moment, moment_with_zone
from panelkit.registry import Link, add_link
from panelkit.rights import may_view

TITLE, LABEL, ICON = "Gate preview", "Check if sending is allowed", "help_center"
PURPOSES = {
    Purpose.SCRIPT: "Script: a line in a chat",
    Purpose.FIRST_CONTACT: "First contact: the first message to a lead",
    Purpose.REPLY: "Reply: a message that the AI writes",
    Purpose.OPERATOR: "Operator: a message that an operator writes",
}


def preview_url(**known: object) -> str:
    """The URL of the page, with these fields filled in."""
    given = {name: value for name, value in known.items() if value}
    return reverse("admin:bots_delivery_preview") + (f"?{urlencode(given)}" if given else "")


def may_preview(request: HttpRequest) -> bool:
    return may_view(request.user, "bots.Delivery")


def _require(request: HttpRequest) -> None:
    if not may_preview(request):
        raise PermissionDenied


class PreviewForm(forms.Form):
    campaign = forms.ModelChoiceField(Campaign.objects.order_by("name"), widget=UnfoldAdminSelectWidget)
    bot = forms.ModelChoiceField(
        Bot.objects.defer("phone", "api_hash", "proxy_url").order_by("key"),
        label="Account",
        widget=UnfoldAdminSelectWidget,
    )
    purpose = forms.ChoiceField(choices=list(PURPOSES.items()), widget=UnfoldAdminSelectWidget)
    chat = forms.ModelChoiceField(
        Chat.objects.order_by("title", "key"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="Choose a chat, or enter a person below.",
    )
    person = forms.CharField(
        required=False,
        max_length=64,
        widget=UnfoldAdminTextInputWidget,
        help_text="Telegram id or @username",
    )
    text = forms.CharField(
        required=False,
        max_length=4096,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text="The gate checks the text of first contacts only. Leave empty to check the campaign's first message.",
    )

    def clean_person(self) -> str:
        person: str = self.cleaned_data["person"]
        if person:
            try:
                person_facts(person)
            except ValueError as problem:
                raise forms.ValidationError(str(problem)) from problem
        return person

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if "person" in self.errors:
            return given
        if bool(given.get("chat")) == bool(given.get("person")):
            raise forms.ValidationError("Choose either a chat or a person.")
        if given.get("purpose") == Purpose.SCRIPT and not given.get("chat"):
            self.add_error("chat", "Choose the chat in which the script plays.")
        if given.get("purpose") == Purpose.FIRST_CONTACT and not given.get("person"):
            self.add_error("person", "Enter the person who gets the first contact.")
        return given

    def draft(self) -> Delivery:
        given = self.cleaned_data
        return draft_for(
            text=given["text"],
            campaign=given["campaign"],
            bot=given["bot"],
            purpose=given["purpose"],
            chat=given["chat"],
            **(person_facts(given["person"]) if given["person"] else {}),
        )


def person_facts(person: str) -> dict[str, Any]:
    """The fields of a delivery for a recipient given as a Telegram id or a username.

    Raises ValueError if `person` is neither; the text tells the operator what to enter.
    """
    plain = person.strip().removeprefix("@")
    if is_person_id(plain):
        return {"peer_id": int(plain)}
    if is_username(plain):
        return {"peer_username": plain}
    raise ValueError(
        f'"{person}" is neither a person\'s Telegram id nor a username. Enter 501 or @tea_lover, for example.'
    )


class GatePreviewMixin(FactAdmin):
    """The delivery pages with the gate preview."""

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(self.preview_view)
        queued = self.admin_site.admin_view(self.preview_queued_view)
        # These are the paths of the pages' first release: operators may have stored links to them.
        return [
            path("ask/", preview, name="bots_delivery_preview"),
            path("<uuid:delivery_id>/ask/", queued, name="bots_delivery_preview_queued"),
            *super().get_urls(),
        ]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """The preview of a message that the operator describes in a form.

        A text is sent by POST, because URLs end up in logs; without a text the URL is complete.
        """
        _require(request)
        form, answer = PreviewForm(initial=request.GET.dict()), None
        if request.method == "POST" or is_complete(request.GET):
            form = PreviewForm(request.POST if request.method == "POST" else request.GET)
            answer = draft_preview(draft=form.draft()) if form.is_valid() else None
        return self._page(request, {"form": form, "answer": preview_context(answer)})

    def preview_queued_view(self, request: HttpRequest, delivery_id: Any) -> HttpResponse:
        _require(request)
        delivery = self.get_object(request, str(delivery_id))
        if delivery is None:
            raise Http404
        try:
            answer = delivery_preview(delivery_id=delivery.pk)
        except Delivery.DoesNotExist:
            return self._page(request, {"delivery": delivery, "moved_on": delivery.get_state_display()})
        return self._page(request, {"delivery": delivery, "answer": preview_context(answer)})

    def _page(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        whole = {**self.admin_site.each_context(request), "title": TITLE, "opts": self.opts, **context}
        return TemplateResponse(request, "bots/gate_preview.html", whole)


def is_complete(given: Mapping[str, Any]) -> bool:
    return all(given.get(name) for name in ("campaign", "bot", "purpose")) and bool(
        given.get("chat") or given.get("person")
    )


USERNAME_ONLY = (
    "Before sending, the account asks Telegram who has this username. It sends nothing if that person has opted out."
)
KNOWN_USERNAME = (
    "According to our records, this is the username of person {}. "
    "Before sending, the account asks Telegram who has it now."
)


def preview_context(answer: GatePreview | None) -> dict[str, Any] | None:
    if answer is None:
        return None
    verdict, *others = [sentence(objection) for objection in answer.objections] or [sentence(answer.verdict)]
    return {
        "kind": kind(answer.verdict),
        "verdict": verdict,
        "others": others,
        "at": moment(answer.at),
        "note": note_on(answer),
    }


def note_on(answer: GatePreview) -> str:
    """What the operator should know if the person is known only by a username; otherwise ""."""
    if answer.bearer is not None:
        return KNOWN_USERNAME.format(answer.bearer)
    return USERNAME_ONLY if answer.by_name else ""


def kind(verdict: Verdict) -> str:
    """The kind of verdict, which is also the value that determines the label's colour."""
    return {Allow: "allow", Wait: "waiting", Refuse: "refused"}[type(verdict)]


def sentence(verdict: Verdict) -> str:
    if isinstance(verdict, Allow):
        return "Allow: the message may be sent now."
    if isinstance(verdict, Refuse):
        return f"Refuse: {verdict.reason}"
    return (
        f"Wait until {moment_with_zone(verdict.until)}: {verdict.reason}"
        if verdict.until
        else f"Wait: {verdict.reason}"
    )


def _about_delivery(delivery: Delivery) -> str:
    queued = delivery.state == Delivery.State.QUEUED
    return reverse("admin:bots_delivery_preview_queued", args=[delivery.pk]) if queued else ""


add_link(Delivery, Link(LABEL, ICON, _about_delivery, may_preview))
add_link(Bot, Link(LABEL, ICON, lambda bot: preview_url(bot=bot.pk), may_preview))
add_link(Campaign, Link(LABEL, ICON, lambda campaign: preview_url(campaign=campaign.pk), may_preview))
add_link(Chat, Link(LABEL, ICON, lambda chat: preview_url(chat=chat.pk, purpose=Purpose.SCRIPT.value), may_preview))
