"""The page that proposes moves of watched chats between accounts, and carries them out once the operator agrees."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from panelkit.base import PanelAdmin
from panelkit.errors import NotPossible
from parser.models import WatchedChat
from parser.watching.balancing import MOST, moves_proposed
from parser.watching.moves import chat_move


class BalanceMixin(PanelAdmin):
    """The list's button *Balance* and its page."""

    list_before_template = "parser/watched_chats_balance.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.balance_view)
        return [path("balance/", view, name=self._url_name("balance")), *super().get_urls()]

    def balance_view(self, request: HttpRequest) -> HttpResponse:
        if not self.may_operate(request):
            raise PermissionDenied
        back = reverse(f"admin:{self._url_name('changelist')}")
        if request.method == "POST":
            # Only what the operator has seen is carried out; the service checks each move again.
            for ids in request.POST.getlist("move")[:MOST]:
                self._move(request, ids)
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "title": "Balance the watched chats",
            "opts": self.opts,
            "proposal": moves_proposed(),
            "back": back,
        }
        return TemplateResponse(request, "parser/balance.html", context)

    def _move(self, request: HttpRequest, ids: str) -> None:
        try:
            chat_id, source_id, target_id = (UUID(part) for part in ids.split())
        except ValueError:
            return
        rows = list(WatchedChat.objects.filter(chat_id=chat_id, bot_id=source_id).select_related("chat", "campaign"))
        what = str(rows[0].chat) if rows else "A chat"
        try:
            result = chat_move(chat_id=chat_id, source_id=source_id, target_id=target_id)
        except NotPossible as refusal:
            self.message_user(request, f"{what}: {refusal}", messages.ERROR)
            return
        self.message_user(request, f"{what}: {result}", messages.SUCCESS)
        for row in rows:
            self.log_change(request, row, f"Balance: {result}")
