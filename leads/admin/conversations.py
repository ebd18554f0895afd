"""The page of a conversation: its messages, live, and the form in which an operator answers."""

from copy import copy
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.urls import URLPattern, path, reverse
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from leads.admin import conversation_page as shown
from leads.admin.personal_data import ERASE, PersonAdmin
from leads.models import Conversation, Lead, Message
from leads.selectors import beginning, hit_place
from leads.services.operators import conversation_hand_back, conversation_take_over, operator_send
from leads.services.outgoing_messages import ai_messages_leaving
from panelkit.errors import NotPossible
from panelkit.labels import choice_label, clipped, link_to
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.operations import Operation
from panelkit.registry import Leaving, add_leaving, leaving_of

Owner = Conversation.Owner
QUEUED = "Your message is queued and is sent as soon as the gate allows it. Its state is shown next to the message."


def _leaving_in(conversation: Conversation) -> Leaving | None:
    if conversation.owner == Owner.AI:
        return None
    return Leaving(ai_messages_leaving(conversation=conversation), "the AI sends nothing more in this conversation")


add_leaving(Conversation, _leaving_in)


class ReplyForm(forms.Form):
    """The form for an answer.

    `key` is the message's id, so CoolThing sends only one message even if the form is submitted twice. The service
    checks the text.
    """

    text = forms.CharField(required=False, strip=False)
    key = forms.UUIDField()
    take_over = forms.BooleanField(required=False)


@dataclass(frozen=True)
class Reply:
    """The state of the form: its text, why it was refused, and the key of the next attempt."""

    text: str = ""
    refused: str = ""
    key: str = ""


@admin.register(Conversation)
class ConversationAdmin(PersonAdmin):
    empty_hint = "A conversation begins when a lead is assigned to a manager account."
    list_display = ("lead_name", "bot", "owner_label", "reason", "lead_state", "latest_message", "last_incoming_at")
    list_filter = (
        ("owner", ChoicesDropdownFilter),
        ("lead__state", ChoicesDropdownFilter),
        ("lead__campaign", RelatedDropdownFilter),
        ("bot", AutocompleteSelectFilter),
        ("last_incoming_at", RangeDateTimeFilter),
    )
    list_select_related = ("lead__campaign", "bot")
    search_fields = ("lead__username", "=lead__telegram_user_id", "bot__key", "messages__text")
    ordering = (F("last_incoming_at").desc(nulls_last=True), "-created_at")
    # Values that change are only in the live part of the page.
    fields = (("lead", "bot"), ("campaign", "created_at"))
    readonly_fields = ("campaign",)
    change_form_outer_before_template = "leads/conversation.html"
    live_seconds = 3
    service_errors = (NotPossible,)
    operations = (
        Operation(
            "take-over",
            "Take over",
            run=lambda conversation, call: conversation_take_over(conversation_id=conversation.pk, by=call.by),
            done="is taken over. You answer now, and the AI sends nothing more.",
            icon="person",
            when=lambda conversation: (
                conversation.owner != Owner.HUMAN and conversation.lead.state != Lead.State.OPTED_OUT
            ),
            bulk=True,
        ),
        Operation(
            "hand-back",
            "Hand back to the AI",
            run=lambda conversation, call: conversation_hand_back(conversation_id=conversation.pk, by=call.by),
            done="is handed back. The AI answers again.",
            icon="smart_toy",
            when=lambda conversation: (
                conversation.owner != Owner.AI and conversation.lead.state != Lead.State.OPTED_OUT
            ),
            bulk=True,
        ),
        ERASE,
    )

    owner_label = choice_label("owner")

    class Media:
        js = ("leads/conversation.js",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        newest = Message.objects.filter(conversation=OuterRef("pk")).reverse()
        return super().get_queryset(request).annotate(newest=Subquery(newest.values("text")[:1]))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.reply_view)
        return [path("<path:object_id>/reply/", view, name=self._url_name("reply")), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = kwargs.get("obj")
        if row is not None:
            context["conversation"] = self._page(request, row)
            context.setdefault("reply", Reply(key=str(uuid4())))
        return super().render_change_form(request, context, *args, **kwargs)

    def live_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """For an open page: the changes since `known` and `parts`, or the messages before the newest `skip`."""
        row = self._row(request, object_id)
        if (skip := request.GET.get("skip", "")).isdecimal():
            return JsonResponse(self._earlier(row, int(skip[:9])))
        known = [version for version in request.GET.get("known", "").split(",") if version][: shown.KEPT_UP_TO_DATE]
        # The CSRF token of the forms: after a new login in another window the page's token is invalid.
        answer = shown.news(row, known=known) | {"csrf": get_token(request)}
        parts = self._parts(request, row)
        if parts["version"] != request.GET.get("parts"):
            answer |= {"parts": shown.parts_html(parts, request), "version": parts["version"]}
        return JsonResponse(answer)

    def reply_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Queue a message. If it is refused, the page appears again with the text and the reason."""
        row = self._row(request, object_id)
        if not self.may_operate(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseRedirect(self._change_url(row))
        in_place = request.headers.get("Accept") == "application/json"
        try:
            self._send(request, row)
        except NotPossible as refusal:
            reply = Reply(text=request.POST.get("text", ""), refused=str(refusal), key=str(uuid4()))
            if in_place:
                return JsonResponse({"refused": reply.refused, "key": reply.key})
            page = copy(request)
            page.method = "GET"
            return self.change_view(page, object_id, extra_context={"reply": reply})
        if in_place:
            return JsonResponse({"key": str(uuid4())})
        self.message_user(request, QUEUED, messages.SUCCESS)
        return HttpResponseRedirect(f"{self._change_url(row)}#reply")

    def _send(self, request: HttpRequest, row: Conversation) -> None:
        form = ReplyForm(request.POST)
        if not form.is_valid():
            raise NotPossible(" ".join(str(error) for errors in form.errors.values() for error in errors))
        key: UUID = form.cleaned_data["key"]
        repeated = Message.objects.filter(pk=key).exists()
        operator_send(
            conversation_id=row.pk,
            text=form.cleaned_data["text"],
            message_id=key,
            take_over_by=str(request.user) if form.cleaned_data["take_over"] else "",
        )
        if not repeated:
            self.log_change(request, row, "Sent a message.")

    def _row(self, request: HttpRequest, object_id: str) -> Conversation:
        row: Conversation | None = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def _page(self, request: HttpRequest, row: Conversation) -> dict[str, Any]:
        wanted = request.GET.get("shown", "")
        most = min(max(int(wanted[:9]) if wanted.isdecimal() else 0, shown.SHOWN), shown.MOST_SHOWN)
        messages = shown.newest(row, most=most + 1)
        _, name, link = hit_place(lead=row.lead)
        return {
            "beginning": {"lead": row.lead, "chat": name, "link": link, "now": beginning(lead=row.lead)},
            "messages": messages[-most:],
            "more": min(most + shown.SHOWN, shown.MOST_SHOWN) if len(messages) > most else 0,
            "everything": f"{reverse('admin:leads_message_changelist')}?conversation__id__exact={row.pk}",
            "parts": self._parts(request, row),
            "may_answer": self.may_operate(request),
            "live_url": reverse(f"admin:{self._url_name('live')}", args=(quote(row.pk),)),
            "reply_url": reverse(f"admin:{self._url_name('reply')}", args=(quote(row.pk),)),
            "seconds": self.live_seconds,
        }

    def _earlier(self, row: Conversation, skip: int) -> dict[str, Any]:
        found = shown.newest(row, most=shown.SHOWN + 1, skip=skip)
        return {
            "messages": [[str(message.id), shown.message_html(message)] for message in found[-shown.SHOWN :]],
            "more": len(found) > shown.SHOWN,
        }

    def _parts(self, request: HttpRequest, row: Conversation) -> dict[str, Any]:
        return shown.parts(row, offers=self.offers(request, row), leaving=leaving_of(row))

    @display(description="lead", ordering="lead__username")
    def lead_name(self, conversation: Conversation) -> str:
        return str(conversation.lead)

    @display(description="campaign")
    def campaign(self, conversation: Conversation) -> str:
        return link_to(conversation.lead.campaign, str(conversation.lead.campaign))

    @display(description="reason")
    def reason(self, conversation: Conversation) -> str:
        return clipped(conversation.owner_reason)

    @display(description="lead state", ordering="lead__state")
    def lead_state(self, conversation: Conversation) -> str:
        return conversation.lead.get_state_display()

    @display(description="latest message")
    def latest_message(self, conversation: Any) -> str:
        return clipped(conversation.newest or "")
