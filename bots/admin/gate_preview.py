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

from bots.gate.preview import GatePreview, delivery_would, wish_for, wish_would
from bots.gate.rules import Allow, Refuse, Verdict, Wait
from bots.models import Bot, Delivery
from campaigns.identifiers import is_person_id, is_username
from campaigns.models import Campaign, Chat, Purpose
from panelkit.base import FactAdmin
from panelkit.labels import moment, moment_told
from panelkit.registry import Link, add_link
from panelkit.rights import may_view

LABEL, ICON = "Would it be sent now?", "help_center"
PURPOSES = {
    Purpose.SCRIPT: "Script: a line in a chat",
    Purpose.FIRST_CONTACT: "First contact: the first message to a lead",
    Purpose.REPLY: "Reply: an answer of the AI",
    Purpose.OPERATOR: "Operator: a person's own words",
}


def ask_url(**known: object) -> str:
    """The URL of the page, with these fields filled in."""
    given = {name: value for name, value in known.items() if value}
    return reverse("admin:bots_delivery_ask") + (f"?{urlencode(given)}" if given else "")


def may_ask(request: HttpRequest) -> bool:
    return may_view(request.user, "bots.Delivery")


def _require(request: HttpRequest) -> None:
    if not may_ask(request):
        raise PermissionDenied


class AskForm(forms.Form):
    campaign = forms.ModelChoiceField(Campaign.objects.order_by("name"), widget=UnfoldAdminSelectWidget)
    bot = forms.ModelChoiceField(
        Bot.objects.defer("phone", "api_hash", "proxy_url").order_by("key"), widget=UnfoldAdminSelectWidget
    )
    purpose = forms.ChoiceField(choices=list(PURPOSES.items()), widget=UnfoldAdminSelectWidget)
    chat = forms.ModelChoiceField(
        Chat.objects.order_by("title", "key"), required=False, widget=UnfoldAdminSelectWidget, help_text="Or a person:"
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
        help_text="Matters for first contacts. Empty: the campaign's own first message",
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
            raise forms.ValidationError("It goes to a chat or to a person: choose one of them.")
        if given.get("purpose") == Purpose.SCRIPT and not given.get("chat"):
            self.add_error("chat", "Lines of scripts are said in chats.")
        if given.get("purpose") == Purpose.FIRST_CONTACT and not given.get("person"):
            self.add_error("person", "A first contact goes to a person.")
        return given

    def wish(self) -> Delivery:
        given = self.cleaned_data
        return wish_for(
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
    raise ValueError(f'"{person}" is no Telegram id of a person and no username: give 501 or @tea_lover, for example.')


class AskingAdmin(FactAdmin):
    """The delivery pages with the gate preview."""

    def get_urls(self) -> list[URLPattern]:
        ask, about = self.admin_site.admin_view(self.ask_view), self.admin_site.admin_view(self.ask_about_view)
        return [
            path("ask/", ask, name="bots_delivery_ask"),
            path("<uuid:delivery_id>/ask/", about, name="bots_delivery_ask_about"),
            *super().get_urls(),
        ]

    def ask_view(self, request: HttpRequest) -> HttpResponse:
        """The preview's form.

        A text is sent by POST, because URLs end up in logs; without a text the URL is complete.
        """
        _require(request)
        form, answer = AskForm(initial=request.GET.dict()), None
        if request.method == "POST" or is_whole(request.GET):
            form = AskForm(request.POST if request.method == "POST" else request.GET)
            answer = wish_would(wish=form.wish()) if form.is_valid() else None
        return self._page(request, {"form": form, "answer": shown(answer)})

    def ask_about_view(self, request: HttpRequest, delivery_id: Any) -> HttpResponse:
        _require(request)
        delivery = self.get_object(request, str(delivery_id))
        if delivery is None:
            raise Http404
        try:
            answer = delivery_would(delivery_id=delivery.pk)
        except Delivery.DoesNotExist:
            return self._page(request, {"delivery": delivery, "moved_on": delivery.get_state_display()})
        return self._page(request, {"delivery": delivery, "answer": shown(answer)})

    def _page(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        whole = {**self.admin_site.each_context(request), "title": LABEL, "opts": self.opts, **context}
        return TemplateResponse(request, "bots/ask.html", whole)


def is_whole(given: Mapping[str, Any]) -> bool:
    return all(given.get(name) for name in ("campaign", "bot", "purpose")) and bool(
        given.get("chat") or given.get("person")
    )


BY_NAME = "Whose name that is Telegram tells before anything is said: if they asked not to be written to, nothing is."
BY_RECORDS = "By our records that is the name of {}. Whose it is today Telegram tells before anything is said."


def shown(answer: GatePreview | None) -> dict[str, Any] | None:
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
        return BY_RECORDS.format(answer.bearer)
    return BY_NAME if answer.by_name else ""


def kind(verdict: Verdict) -> str:
    """The kind of verdict, which is also the value that determines the label's colour."""
    return {Allow: "allow", Wait: "waiting", Refuse: "refused"}[type(verdict)]


def sentence(verdict: Verdict) -> str:
    if isinstance(verdict, Allow):
        return "Allow: it would be sent now."
    if isinstance(verdict, Refuse):
        return f"Refuse: {verdict.reason}"
    return f"Wait until {moment_told(verdict.until)}: {verdict.reason}" if verdict.until else f"Wait: {verdict.reason}"


def _about_delivery(delivery: Delivery) -> str:
    queued = delivery.state == Delivery.State.QUEUED
    return reverse("admin:bots_delivery_ask_about", args=[delivery.pk]) if queued else ""


add_link(Delivery, Link(LABEL, ICON, _about_delivery, may_ask))
add_link(Bot, Link(LABEL, ICON, lambda bot: ask_url(bot=bot.pk), may_ask))
add_link(Campaign, Link(LABEL, ICON, lambda campaign: ask_url(campaign=campaign.pk), may_ask))
add_link(Chat, Link(LABEL, ICON, lambda chat: ask_url(chat=chat.pk, purpose=Purpose.SCRIPT.value), may_ask))
