"""The pages on which an operator logs a bot in or out.

The operator's input goes to a bots worker and is never shown again.
"""

from hashlib import sha256
from typing import Any

import segno
from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.debug import sensitive_post_parameters
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from bots.admin.login_forms import (
    AccountForm,
    CodeForm,
    PasswordForm,
    PhoneForm,
    SessionFileForm,
    StringForm,
    request_from,
)
from bots.logins.page_requests import Progress, login_ask, login_cancel, login_progress, login_seen
from bots.logins.pending_logins import code_sent, qr_code, resend_at
from bots.models import Bot, BotSession, PendingLogin
from panelkit.base import PanelAdmin
from panelkit.operations import Call, Offer, Operation
from telegram.logins.types import WAYS, LoginError, QrCode

Ask, Step = PendingLogin.Ask, PendingLogin.Step
# Seconds between two polls of a page for its login's progress, and between two reloads of a page without scripts.
LOOK_SECONDS, RELOAD_SECONDS = 1, 3
RESEND_LABELS = {"sms": "Send the code by SMS", "call": "Get the code by phone call"}
LOST = (Bot.State.NEEDS_LOGIN, Bot.State.BANNED)


def _log_out(bot: Bot, call: Call) -> None:
    login_ask(bot_id=bot.pk, ask=Ask.LOG_OUT, by=call.by)


# A query parameter of the login page after a request for a step.
ASKED = "asked"


def _has_session(bot: Bot) -> bool:
    return BotSession.objects.filter(bot=bot).exists()


LOG_OUT = Operation(
    "log_out",
    "Log out",
    run=_log_out,
    done="is stopped and is being logged out of Telegram. Its page shows when that is done.",
    icon="logout",
    variant="danger",
    when=_has_session,
    confirm="The account is stopped and logged out of Telegram. Its messages wait until you log it in again.",
)


def _to_login(label: str) -> Operation:
    return Operation("login", label, run=lambda *_: None, done="", icon="login", variant="primary", page=True)


class ConnectingAdmin(PanelAdmin):
    """A bot's pages with the login. The `operations` of the subclass end with LOG_OUT."""

    actions_list = ("connect_account",)

    @action(
        description="Connect an account",
        url_path="connect",
        icon="add_link",
        variant=ActionVariant.PRIMARY,
        permissions=["add"],
    )
    @method_decorator(sensitive_post_parameters())
    def connect_account(self, request: HttpRequest) -> HttpResponse:
        """Create a new bot, then open its login page."""
        form = AccountForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            bot = form.save()
            self.log_addition(request, bot, "Connect an account.")
            return HttpResponseRedirect(self._login_url(bot))
        context = {**self.admin_site.each_context(request), "title": "Connect an account", "form": form}
        return TemplateResponse(request, "bots/connect_account.html", context)

    def get_urls(self) -> list[URLPattern]:
        login = self.admin_site.admin_view(self.login_view)
        progress = self.admin_site.admin_view(self.progress_view)
        return [
            path("<path:object_id>/login/", login, name=self._url_name("login")),
            path("<path:object_id>/login/progress/", progress, name=self._url_name("login_progress")),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Bot]:
        session = BotSession.objects.filter(bot_id=OuterRef("pk"))
        return super().get_queryset(request).annotate(has_session=Exists(session))

    def offers(self, request: HttpRequest, row: Any) -> list[Offer]:
        offers = super().offers(request, row)
        label = _login_label(row)
        if label and self.may_operate(request):
            offers.insert(0, Offer(_to_login(label), self._login_url(row)))
        return offers

    @display(description="login")
    def login(self, bot: Any) -> str | SafeString:
        label = _login_label(bot)
        return format_html('<a class="text-link" href="{}">{}</a>', self._login_url(bot), label) if label else ""

    @method_decorator(sensitive_post_parameters())
    def login_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        bot = self._bot(request, object_id)
        if request.method != "POST":
            progress = login_progress(bot_id=bot.pk)
            # If a worker has finished the step meanwhile, go to the account's page, not to a new login.
            leads_to = self._next_url(request, bot, progress) if ASKED in request.GET else self._login_url(bot)
            if leads_to == self._change_url(bot):
                return HttpResponseRedirect(leads_to)
            return self._login_page(request, bot, progress)
        try:
            return HttpResponseRedirect(self._asked(request, bot, request.POST.get("do", "")))
        except LoginError as error:
            self.message_user(request, str(error), messages.ERROR)
        return HttpResponseRedirect(self._login_url(bot))

    def _asked(self, request: HttpRequest, bot: Bot, do: str) -> str:
        """Record the operator's request. Returns the URL to continue at. Raises LoginError."""
        if do == "cancel":
            login_cancel(bot_id=bot.pk)
            self.message_user(request, f"The login of {bot} is cancelled.", messages.SUCCESS)
            return self._login_url(bot)
        ask, given = request_from(do, request, bot)
        login_ask(bot_id=bot.pk, ask=ask, by=str(request.user), given=given)
        self.log_change(request, bot, f"Login: {Ask(ask).label}.")
        # Not the login page: if a worker has finished the login already, that page would begin a new one.
        return self._progress_url(bot)

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The progress of the login. The page's script polls this view, which responds only if something has changed.

        Without scripts the browser is redirected to the next page.
        """
        bot = self._bot(request, object_id)
        login_seen(bot_id=bot.pk)
        progress = login_progress(bot_id=bot.pk)
        if "HX-Request" not in request.headers:
            return HttpResponseRedirect(self._next_url(request, bot, progress))
        state, shown = _state(progress), request.GET.get("shown", "")
        if _kind(state) != _kind(shown):
            return _sent_to(self._next_url(request, bot, progress))
        if state == shown:
            return HttpResponse(status=204)
        return TemplateResponse(request, "bots/login_live.html", self._live_context(bot, progress))

    def _next_url(self, request: HttpRequest, bot: Bot, progress: Progress) -> str:
        """The URL of the page to continue at: the bot's own page if it is logged in."""
        if progress.pending is None and _has_session(bot):
            # Read the bot after the progress, because a login that ended in between has changed it.
            bot.refresh_from_db()
            if bot.state not in LOST:
                name = f"@{bot.username}" if bot.username else str(bot.telegram_user_id)
                self.message_user(request, f"{bot} is logged in as {name}.", messages.SUCCESS)
                return self._change_url(bot)
        return f"{self._login_url(bot)}?{ASKED}="

    def _bot(self, request: HttpRequest, object_id: str) -> Bot:
        bot: Bot | None = self.get_object(request, unquote(object_id))
        if bot is None:
            raise Http404
        if not self.may_operate(request):
            raise PermissionDenied
        return bot

    def _login_page(self, request: HttpRequest, bot: Bot, progress: Progress) -> HttpResponse:
        login_seen(bot_id=bot.pk)
        live = bool(_state(progress))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Log in {bot}",
            "opts": self.opts,
            "original": bot,
            "bot": bot,
            "back": self._change_url(bot),
            "live": live,
            "problem": progress.pending.problem if progress.pending else "",
            **(self._live_context(bot, progress) if live else _step_context(bot, progress.pending)),
        }
        return TemplateResponse(request, "bots/login.html", context)

    def _live_context(self, bot: Bot, progress: Progress) -> dict[str, Any]:
        return {
            "progress": progress,
            "state": _state(progress),
            "qr": "" if progress.doing or progress.pending is None else _drawn(qr_code(progress.pending)),
            "url": self._progress_url(bot),
            "look_seconds": LOOK_SECONDS,
            "reload_seconds": RELOAD_SECONDS,
        }

    def _progress_url(self, bot: Bot) -> str:
        return reverse(f"admin:{self._url_name('login_progress')}", args=(quote(bot.pk),))

    def _login_url(self, bot: Bot) -> str:
        return reverse(f"admin:{self._url_name('login')}", args=(quote(bot.pk),))


def _login_label(bot: Any) -> str:
    """The label of the login button; "" for a bot that is logged in."""
    if bot.state in LOST and bot.telegram_user_id:
        return "Log in again"
    return "" if bot.has_session else "Log in"


def _state(progress: Progress) -> str:
    """A fingerprint of what a page shows while a worker acts: the kind of page, then a digest of its contents.

    "" if the login waits for the operator.
    """
    if progress.doing:
        return _fingerprint("doing", progress.doing, progress.why)
    pending = progress.pending
    return _fingerprint("qr", qr_code(pending).url) if pending is not None and pending.asked else ""


def _fingerprint(kind: str, *what: str) -> str:
    return f"{kind}:{sha256(' '.join(what).encode()).hexdigest()[:16]}"


def _kind(state: str) -> str:
    return state.partition(":")[0]


def _step_context(bot: Bot, pending: PendingLogin | None) -> dict[str, Any]:
    """The template context for the operator's next step."""
    if pending is not None and pending.step == Step.CODE:
        sent = code_sent(pending)
        return {
            "step": pending.step,
            "form": CodeForm(),
            "way": WAYS.get(sent.kind, "a message"),
            "next_way": WAYS.get(sent.next_kind, ""),
            "resend_label": RESEND_LABELS.get(sent.next_kind, "Send the code in another way"),
            "resend_at": resend_at(pending),
            "phone": f"+{sent.phone[:2]}…{sent.phone[-2:]}",
        }
    if pending is not None and pending.step == Step.PASSWORD:
        return {"step": pending.step, "form": PasswordForm()}
    return {
        "step": Step.START,
        "phone_form": PhoneForm(known=bool(bot.phone)),
        "string_form": StringForm(),
        "file_form": SessionFileForm(),
    }


def _drawn(code: QrCode) -> SafeString:
    """The QR code as inline SVG, so that the login URL appears in no other URL and in no file."""
    drawn = segno.make(code.url, error="m", micro=False).svg_inline(border=3, omitsize=True)
    return mark_safe(drawn)


def _sent_to(url: str) -> HttpResponse:
    """A response that makes htmx redirect the browser to this URL."""
    return HttpResponse(status=204, headers={"HX-Redirect": url})
