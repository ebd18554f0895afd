"""Values and errors of a login, with a sentence for each of Telegram's errors. Does not import Telethon."""

from dataclasses import dataclass, field
from datetime import datetime

from telegram.errors import BotDead, PassingError, RetryAfter, TelegramError, TransientError


class LoginError(Exception):
    """Why the login failed and what to do next, in sentences for the operator.

    `reason` is Telegram's name of the error; empty for other errors. Another attempt within `wait_seconds` only
    prolongs the wait.
    """

    def __init__(self, sentence: str, *, reason: str = "", wait_seconds: float | None = None) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.wait_seconds = wait_seconds


class PasswordNeeded(LoginError):
    """The first factor was right, but the account has a password. Continue with `check_password` and this `session`."""

    def __init__(self, session: str) -> None:
        super().__init__("The account has a password (two-step verification). Enter it.", reason=PASSWORD_NEEDED)
        self.session = session


@dataclass(frozen=True)
class CodeSent:
    """A login that waits for its code. `session` contains a key and `phone_code_hash` belongs to it; both are secrets.

    `kind` is the way in which Telegram sent the code (see WAYS). `next_kind` is the way in which it would send the code
    again, `resend_seconds` after its answer at the earliest; empty if it would not.
    """

    phone: str = field(repr=False)
    session: str = field(repr=False)
    phone_code_hash: str = field(repr=False)
    kind: str
    next_kind: str
    resend_seconds: float | None = None


@dataclass(frozen=True)
class QrCode:
    """A login that waits until the operator scans `url`, shown as a QR code, with Telegram on their phone.

    Both `session` and `url` are secrets.
    """

    session: str = field(repr=False)
    url: str = field(repr=False)
    expires_at: datetime


PASSWORD_NEEDED = "SESSION_PASSWORD_NEEDED"

# The ways in which a code arrives, by the names of Telegram's SentCodeType… and CodeType….
WAYS = {
    "app": "a message from Telegram in the apps where the account is logged in",
    "sms": "an SMS",
    "call": "a phone call that speaks the code",
    "flash_call": "a phone call whose number is the code",
    "missed_call": "a missed call whose last digits are the code",
    "email_code": "an email to the account's login address",
    "fragment_sms": "a message at fragment.com",
    "firebase_sms": "an SMS",
    "sms_word": "an SMS with a word",
    "sms_phrase": "an SMS with a phrase",
}

_NEW_LOGIN = "Log in anew with the phone number or a QR code."
_APPEAL = "Open the account in Telegram's own app and appeal there, or write to recover@telegram.org."

SENTENCES = {
    "PHONE_NUMBER_INVALID": "Telegram does not accept this phone number. "
    "Enter it in international form, beginning with + and the country.",
    "PHONE_NUMBER_UNOCCUPIED": "There is no Telegram account with this phone number. "
    "Check the number, or sign up in Telegram's own app first.",
    "PHONE_NUMBER_BANNED": "Telegram has banned this phone number. Use another account, or appeal in Telegram's app.",
    "PHONE_NUMBER_FLOOD": "Too many codes were requested for this phone number. Try again tomorrow.",
    "PHONE_PASSWORD_FLOOD": "Too many attempts to log in. Try again tomorrow.",
    "PHONE_CODE_INVALID": "The code is wrong. Enter the code from Telegram's newest message.",
    "PHONE_CODE_EMPTY": "The code is missing. Enter the code that Telegram has sent.",
    "PHONE_CODE_EXPIRED": "The code has expired. Request a new code.",
    "PHONE_CODE_HASH_EMPTY": "This login has expired. Request a new code.",
    "SEND_CODE_UNAVAILABLE": "Telegram has no other way to send the code. "
    "Look for the code in the apps where the account is logged in, or use a QR code.",
    "PHONE_PASSWORD_PROTECTED": "The account has a password (two-step verification). Enter it.",
    "PASSWORD_HASH_INVALID": "The password is wrong. Enter the account's two-step verification password again.",
    "PASSWORD_EMPTY": "The password is missing. Enter the account's two-step verification password.",
    "SRP_ID_INVALID": "The password could not be checked. Enter it again.",
    "SRP_PASSWORD_CHANGED": "The password was changed a moment ago. Enter the new password.",
    "API_ID_INVALID": "Telegram does not know this API id and hash. Compare the account's API id "
    "and hash (or TELEGRAM_API_ID and TELEGRAM_API_HASH if it has none) with those at https://my.telegram.org.",
    "API_ID_PUBLISHED_FLOOD": "This API id is public and may not be used. Get your own at https://my.telegram.org.",
    "UPDATE_APP_TO_LOGIN": "Telegram requires a newer application for this login. Use a QR code, or update CoolThing.",
    "SET_UP_EMAIL_REQUIRED": "Telegram requires a login email address for this account. "
    "Enter one in Telegram's own app, then request a new code.",
    "AUTH_TOKEN_EXPIRED": "The QR code has expired. Show a new code.",
    "AUTH_TOKEN_INVALID": "The QR code is no longer valid. Show a new code.",
    "AUTH_KEY_UNREGISTERED": f"Telegram has ended this session or does not know it. {_NEW_LOGIN}",
    "AUTH_KEY_NOT_FOUND": f"Telegram does not know this session. {_NEW_LOGIN}",
    "SESSION_REVOKED": f"This session was ended from another device of the account. {_NEW_LOGIN}",
    "SESSION_EXPIRED": f"This session has expired. {_NEW_LOGIN}",
    "AUTH_KEY_DUPLICATED": "This session was used from two places at once, and Telegram has ended it for good. "
    + _NEW_LOGIN,
    "USER_DEACTIVATED": "The account was deleted. Use another account.",
    "USER_DEACTIVATED_BAN": f"Telegram has banned this account. {_APPEAL}",
    "FROZEN_METHOD_INVALID": f"Telegram has frozen this account. {_APPEAL}",
}


def login_error(error: TelegramError) -> LoginError:
    """The LoginError for one of Telegram's errors."""
    reason = error.reason
    if reason in SENTENCES:
        return LoginError(SENTENCES[reason], reason=reason)
    if isinstance(error, RetryAfter):
        return LoginError(_too_many(f"for {error.seconds} seconds"), reason=reason, wait_seconds=error.seconds)
    if isinstance(error, PassingError):
        return LoginError(
            f"Telegram answered {reason}, which may be temporary. Try again in a few minutes.", reason=reason
        )
    if isinstance(error, TransientError):
        return LoginError(
            f"Telegram cannot be reached ({reason}). Check this machine's network, or use a proxy; then try again.",
            reason=reason,
        )
    if isinstance(error, BotDead) and error.needs_login:
        return LoginError(f"Telegram has ended this session ({reason}). {_NEW_LOGIN}", reason=reason)
    return LoginError(f"Telegram refused the login: {reason}. Try again later, or log in another way.", reason=reason)


def too_many(until: datetime) -> str:
    """The sentence about a flood wait that ends at `until`."""
    return _too_many(f"before {until:%Y-%m-%d %H:%M:%S} UTC")


def _too_many(when: str) -> str:
    return f"Too many attempts: Telegram accepts no attempt {when}. An earlier attempt makes the wait longer."
