"""The pages on which somebody logs a bot in. What is typed there is passed on and never shown again."""

from collections.abc import Callable
from typing import Any

import segno
from django.contrib import admin, messages
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
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from bots import connecting, logins
from bots.admin.login_forms import (
    AccountForm,
    CodeForm,
    FileForm,
    PasswordForm,
    PhoneForm,
    StringForm,
    given,
)
from bots.models import Bot, BotSession, PendingLogin
from panelkit.base import FactAdmin, PanelAdmin
from panelkit.labels import choice_label, waits
from panelkit.operations import Call, Offer, Operation
from telegram.imports import MAX_FILE_BYTES, NO_FILE, from_file, from_string
from telegram.logins import WAYS, LoginError, QrCode

Step = PendingLogin.Step
# Seconds between two looks at whether a QR code was scanned.
QR_SECONDS = 3
RESEND_LABELS = {"sms": "Send it by SMS", "call": "Have it spoken in a phone call"}
LOST = (Bot.State.NEEDS_LOGIN, Bot.State.BANNED)


def _log_out(bot: Bot, call: Call) -> None:
    connecting.bot_log_out(bot_id=bot.pk, by=call.by)


def _has_session(bot: Bot) -> bool:
    return BotSession.objects.filter(bot=bot).exists()


LOG_OUT = Operation(
    "log_out",
    "Log out",
    run=_log_out,
    done="is logged out: its session has ended at Telegram.",
    icon="logout",
    variant="danger",
    when=_has_session,
    confirm="The bot is stopped and its session is ended at Telegram. What it had to say waits until it is logged in "
    "again. This takes a few seconds while its worker lets it go.",
)


def _to_login(label: str) -> Operation:
    return Operation("login", label, run=lambda *_: None, done="", icon="login", variant="primary", page=True)


class ConnectingAdmin(PanelAdmin):
    """A bot's pages with the logging in. `operations` of the class below ends with LOG_OUT."""

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
        """A new bot, then its login."""
        form = AccountForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            bot = form.save()
            self.log_addition(request, bot, "Connect an account.")
            return HttpResponseRedirect(self._login_url(bot))
        context = {**self.admin_site.each_context(request), "title": "Connect an account", "form": form}
        return TemplateResponse(request, "bots/connect.html", context)

    def get_urls(self) -> list[URLPattern]:
        login, look = self.admin_site.admin_view(self.login_view), self.admin_site.admin_view(self.qr_view)
        return [
            path("<path:object_id>/login/", login, name=self._url_name("login")),
            path("<path:object_id>/login/qr/", look, name=self._url_name("login_qr")),
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
            return self._login_page(request, bot)
        try:
            done = _ACTS[request.POST.get("do", "")](request, bot)
        except KeyError:
            raise Http404 from None
        except LoginError as error:
            self._tell(request, bot, error)
            done = None
        if done is None:
            return HttpResponseRedirect(self._login_url(bot))
        return HttpResponseRedirect(self._welcome(request, done))

    def qr_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Looks whether the code was scanned; the page asks for this again and again."""
        bot = self._bot(request, object_id)
        if request.method != "POST":
            return HttpResponseRedirect(self._login_url(bot))
        try:
            done = logins.login_look_at_qr(bot_id=bot.pk)
        except LoginError:
            # Kept with the login, and shown with the code.
            done = None
        if done is not None:
            return _sent_to(self._welcome(request, done))
        pending = logins.login_pending(bot_id=bot.pk)
        if pending is None or pending.step != Step.QR:
            return _sent_to(self._login_url(bot))
        return TemplateResponse(request, "bots/login_qr.html", self._qr_context(bot, pending))

    def _bot(self, request: HttpRequest, object_id: str) -> Bot:
        bot: Bot | None = self.get_object(request, unquote(object_id))
        if bot is None:
            raise Http404
        if not self.may_operate(request):
            raise PermissionDenied
        return bot

    def _login_page(self, request: HttpRequest, bot: Bot) -> HttpResponse:
        pending = logins.login_pending(bot_id=bot.pk)
        step = pending.step if pending else Step.START
        context = {
            **self.admin_site.each_context(request),
            "title": f"Log in {bot}",
            "opts": self.opts,
            "original": bot,
            "bot": bot,
            "back": self._change_url(bot),
            "step": step,
            "problem": pending.problem if pending else "",
            **(self._step_context(bot, pending) if pending else {}),
        }
        if step == Step.START:
            context |= _start_context(bot)
        return TemplateResponse(request, "bots/login.html", context)

    def _step_context(self, bot: Bot, pending: PendingLogin) -> dict[str, Any]:
        if pending.step == Step.CODE:
            sent = logins.code_sent(pending)
            return {
                "form": CodeForm(),
                "way": WAYS.get(sent.kind, "a message"),
                "next_way": WAYS.get(sent.next_kind, ""),
                "resend_label": RESEND_LABELS.get(sent.next_kind, "Send it the next way"),
                "resend_at": logins.resend_at(pending),
                "phone": f"+{sent.phone[:2]}…{sent.phone[-2:]}",
            }
        if pending.step == Step.PASSWORD:
            return {"form": PasswordForm()}
        return self._qr_context(bot, pending) if pending.step == Step.QR else {}

    def _qr_context(self, bot: Bot, pending: PendingLogin) -> dict[str, Any]:
        return {
            "qr": _drawn(logins.qr_code(pending)),
            "qr_url": reverse(f"admin:{self._url_name('login_qr')}", args=(quote(bot.pk),)),
            "seconds": QR_SECONDS,
            "problem": pending.problem,
        }

    def _tell(self, request: HttpRequest, bot: Bot, error: LoginError) -> None:
        """What went wrong: kept with the login and shown on its page, else as a message."""
        pending = logins.login_pending(bot_id=bot.pk)
        if pending is None or not _shows(pending, error):
            self.message_user(request, str(error), messages.ERROR)

    def _welcome(self, request: HttpRequest, bot: Bot) -> str:
        name = f"@{bot.username}" if bot.username else str(bot.telegram_user_id)
        self.log_change(request, bot, "Logged in.")
        self.message_user(request, f"{bot} is logged in as {name}.", messages.SUCCESS)
        return self._change_url(bot)

    def _login_url(self, bot: Bot) -> str:
        return reverse(f"admin:{self._url_name('login')}", args=(quote(bot.pk),))


@admin.register(PendingLogin)
class PendingLoginAdmin(FactAdmin):
    """That a login was begun and what it waits for; what it holds stays in the database."""

    empty_hint = "Nobody is logging an account in."
    secret_fields = ("state",)
    fields = ("bot", "step_label", "why", "begun_at", "expires_at")
    readonly_fields = ("step_label", "why")
    list_display = ("bot", "step_label", "why", "begun_at", "expires_at")
    list_filter = (("step", ChoicesDropdownFilter),)
    list_select_related = ("bot",)
    search_fields = ("bot__key", "bot__display_name")
    ordering = ("-begun_at",)

    step_label = choice_label("step")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PendingLogin]:
        return super().get_queryset(request).defer("state", "bot__phone", "bot__api_hash", "bot__proxy_url")

    @display(description="why")
    def why(self, pending: PendingLogin) -> str:
        return waits(pending.problem, pending.wait_until)


def _login_label(bot: Any) -> str:
    """What the button says; empty for a bot that is logged in."""
    if bot.state in LOST and bot.telegram_user_id:
        return "Log in again"
    return "" if bot.has_session else "Log in"


def _start_context(bot: Bot) -> dict[str, Any]:
    return {
        "phone_form": PhoneForm(known=bool(bot.phone)),
        "string_form": StringForm(),
        "file_form": FileForm(),
    }


def _drawn(code: QrCode) -> SafeString:
    """As SVG within the page: the address itself is in no URL and no file."""
    drawn = segno.make(code.url, error="m", micro=False).svg_inline(border=3, omitsize=True)
    return mark_safe(drawn)


def _shows(pending: PendingLogin, error: LoginError) -> bool:
    return pending.problem == str(error)[:300]


def _sent_to(url: str) -> HttpResponse:
    """An answer to htmx, upon which the browser goes there."""
    return HttpResponse(status=204, headers={"HX-Redirect": url})


def _send(request: HttpRequest, bot: Bot) -> Bot | None:
    phone = given(PhoneForm(request.POST, known=bool(bot.phone)), "phone")
    logins.login_send_code(bot_id=bot.pk, phone=phone)
    return None


def _resend(_request: HttpRequest, bot: Bot) -> Bot | None:
    logins.login_resend_code(bot_id=bot.pk)
    return None


def _show_qr(_request: HttpRequest, bot: Bot) -> Bot | None:
    logins.login_show_qr(bot_id=bot.pk)
    return None


def _cancel(_request: HttpRequest, bot: Bot) -> Bot | None:
    logins.login_cancel(bot_id=bot.pk)
    return None


def _enter_code(request: HttpRequest, bot: Bot) -> Bot | None:
    return logins.login_enter_code(bot_id=bot.pk, code=given(CodeForm(request.POST), "code"))


def _enter_password(request: HttpRequest, bot: Bot) -> Bot | None:
    return logins.login_enter_password(bot_id=bot.pk, password=given(PasswordForm(request.POST), "password"))


def _take_string(request: HttpRequest, bot: Bot) -> Bot | None:
    return connecting.bot_import(bot_id=bot.pk, session=from_string(given(StringForm(request.POST), "text")))


def _take_file(request: HttpRequest, bot: Bot) -> Bot | None:
    file = given(FileForm(request.POST, request.FILES), "file")
    if file.size > MAX_FILE_BYTES:
        raise LoginError(NO_FILE)
    return connecting.bot_import(bot_id=bot.pk, session=from_file(file.read()))


_ACTS: dict[str, Callable[[HttpRequest, Bot], Bot | None]] = {
    "send": _send,
    "resend": _resend,
    "code": _enter_code,
    "password": _enter_password,
    "qr": _show_qr,
    "string": _take_string,
    "file": _take_file,
    "cancel": _cancel,
}
