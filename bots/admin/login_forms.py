"""The forms of the login pages. Secrets that are entered are passed on and never rendered again."""

from typing import Any

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from bots.models import Bot, PendingLogin
from outgoing.allowed import allowed_hosts
from outgoing.resolving import OutgoingRefused, check_literal
from panelkit.forms.secret_fields import SecretField, SecretForm, SecretInput
from telegram.connection.proxy_settings import FORMS, parse_proxy
from telegram.logins.session_imports import MAX_FILE_BYTES, NO_FILE, from_file, from_string
from telegram.logins.types import LoginError

Ask = PendingLogin.Ask


def checked_proxy(form: Any) -> str:
    """The `clean_proxy_url` method of a form."""
    given: str = form.cleaned_data["proxy_url"]
    try:
        proxy = parse_proxy(given)
        if proxy is not None:
            check_literal(proxy.host, allowed_hosts())
    except (ValueError, OutgoingRefused) as error:
        raise forms.ValidationError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
    return given


class AccountForm(SecretForm):
    """A new bot. The login supplies its phone number."""

    api_hash = SecretField(required=False, label="API hash")
    proxy_url = SecretField(
        required=False,
        label="Proxy",
        help_text=f"Leave empty for a direct connection. Otherwise, {FORMS}.",
        max_length=500,
    )

    class Meta:
        model = Bot
        fields = ("key", "display_name", "role", "api_id")
        widgets = {
            "key": UnfoldAdminTextInputWidget(),
            "display_name": UnfoldAdminTextInputWidget(),
            "role": UnfoldAdminSelectWidget(),
            "api_id": UnfoldAdminIntegerFieldWidget(),
        }
        labels = {"api_id": "API id"}
        help_texts = {
            "key": "A short name for lists and seed files: letters, digits, hyphens.",
            "api_id": "From https://my.telegram.org. Leave empty to use the setting TELEGRAM_API_ID.",
        }

    clean_proxy_url = checked_proxy

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if bool(given.get("api_id")) != bool(given.get("api_hash")):
            self.add_error("api_hash", "Enter both the API id and the API hash, or neither.")
        elif not (given.get("api_id") or settings.TELEGRAM_API_ID or settings.TELEGRAM_SERVER):
            self.add_error("api_id", "The setting TELEGRAM_API_ID is empty: enter an API id and its hash.")
        return given


class PhoneForm(forms.Form):
    """Never rendered with submitted data, so that the phone number is not shown again."""

    phone = forms.CharField(
        required=False, label="Phone number", max_length=40, widget=UnfoldAdminTextInputWidget({"inputmode": "tel"})
    )

    def __init__(self, *args: Any, known: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["phone"].widget.attrs |= {
            "placeholder": "Leave empty to use the stored number." if known else "+49 151 …",
            "autocomplete": "off",
        }


class CodeForm(forms.Form):
    code = forms.CharField(
        label="Code",
        max_length=100,
        widget=UnfoldAdminTextInputWidget({"autocomplete": "one-time-code", "autofocus": "autofocus"}),
    )


class PasswordForm(forms.Form):
    password = forms.CharField(
        strip=False, widget=SecretInput({"autocomplete": "off", "autofocus": "autofocus"}), label="Password"
    )


class StringForm(forms.Form):
    text = SecretField(label="StringSession")


class SessionFileForm(forms.Form):
    file = forms.FileField(label="Session file", widget=UnfoldAdminFileFieldWidget({"accept": ".session"}))


def request_from(do: str, request: HttpRequest, bot: Bot) -> tuple[str, str]:
    """The request of a form on the login page, and the operator's input for it. Raises LoginError."""
    posted = request.POST
    match do:
        case "send":
            return Ask.SEND, _entered(PhoneForm(posted, known=bool(bot.phone)), "phone")
        case "code":
            return Ask.CODE, _entered(CodeForm(posted), "code")
        case "password":
            return Ask.PASSWORD, _entered(PasswordForm(posted), "password")
        case "string":
            return Ask.IMPORT, from_string(_entered(StringForm(posted), "text"))
        case "file":
            file = _entered(SessionFileForm(posted, request.FILES), "file")
            if file.size > MAX_FILE_BYTES:
                raise LoginError(NO_FILE)
            return Ask.IMPORT, from_file(file.read())
        case "resend" | "qr":
            return do, ""
    raise Http404


def _entered(form: forms.Form, name: str) -> Any:
    """The validated value of the field. Raises LoginError."""
    if not form.is_valid():
        (errors,) = list(form.errors.values())[:1]
        raise LoginError(f"{form.fields[name].label}: {errors[0]}")
    return form.cleaned_data[name]
