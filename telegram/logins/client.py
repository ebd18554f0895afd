"""The login requests to Telegram: by code, password or QR code; take over a session; log out.

Every function opens one connection and closes it; none may run while another process is connected with the same
session: two connections with one key destroy it. All raise LoginError.
"""

import base64
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from telethon import TelegramClient
from telethon import password as srp
from telethon.tl import functions, types

from telegram.connection.session_store import StoredSession
from telegram.logins.connection import ask, connected, logged_in, move_to
from telegram.logins.qr import scans, until_scanned
from telegram.logins.types import SENTENCES, CodeSent, LoginError, PasswordNeeded, QrCode
from telegram.types import Credentials, Me

__all__ = ["CodeSent", "LoginError", "PasswordNeeded", "QrCode"]

# A session that Telegram has ended already needs no logging out.
_ENDED = frozenset(
    {"AUTH_KEY_UNREGISTERED", "AUTH_KEY_NOT_FOUND", "AUTH_KEY_DUPLICATED", "SESSION_REVOKED", "SESSION_EXPIRED"}
)


NOT_SCANNED = "Nobody has scanned the code. Start again when the phone is at hand."
# Seconds that a QR code's token lasts: Telegram gives it half a minute.
_TOKEN_LEAST, _TOKEN_MOST = 2.0, 60.0

# By code.


async def request_code(credentials: Credentials, phone: str) -> CodeSent:
    """Have Telegram send a code to the account."""
    session, number = StoredSession(), _digits(phone)
    request = functions.auth.SendCodeRequest(number, credentials.api_id, credentials.api_hash, types.CodeSettings())
    async with connected(session, credentials) as client:
        answer = await ask(client, request)
    return _code_sent(answer, number, session)


async def resend_code(credentials: Credentials, sent: CodeSent) -> CodeSent:
    """Have the code sent again, in the way that `sent.next_kind` named."""
    session = StoredSession(sent.session)
    async with connected(session, credentials) as client:
        answer = await ask(client, functions.auth.ResendCodeRequest(sent.phone, sent.phone_code_hash))
    return _code_sent(answer, sent.phone, session)


async def sign_in(credentials: Credentials, sent: CodeSent, code: str) -> tuple[str, Me]:
    """Log in; returns the session's text and who it is. Raises PasswordNeeded when the account has one."""
    session = StoredSession(sent.session)
    async with connected(session, credentials) as client:
        answer = await ask(client, _with_code(sent, code.strip()))
        if isinstance(answer, types.auth.AuthorizationSignUpRequired):
            raise LoginError(SENTENCES["PHONE_NUMBER_UNOCCUPIED"], reason="PHONE_NUMBER_UNOCCUPIED")
        me = await logged_in(client, answer.user)
    return session.dumps(), me


async def check_password(credentials: Credentials, session_text: str, password: str) -> tuple[str, Me]:
    """The second factor, with the session of PasswordNeeded. The password itself stays on this machine (SRP)."""
    session = StoredSession(session_text)
    async with connected(session, credentials) as client:
        challenge = await ask(client, functions.account.GetPasswordRequest())
        try:
            proof = srp.compute_check(challenge, password)
        except ValueError as error:
            raise LoginError(f"Telegram asks for the password in an unknown way ({error}). Try a QR code.") from error
        answer = await ask(client, functions.auth.CheckPasswordRequest(proof))
        me = await logged_in(client, answer.user)
    return session.dumps(), me


# By QR code.


async def qr_wait(
    credentials: Credentials, show: Callable[[QrCode], Awaitable[object]], *, limit: float, session_text: str = ""
) -> tuple[str, Me]:
    """Show codes, one after the other, until one is scanned. Raises LoginError after `limit` seconds, PasswordNeeded
    when it was scanned and the account has a password.

    With the session of a code that was shown before, that code is still good.
    """
    session = StoredSession(session_text)
    give_up = time.monotonic() + limit
    shown = b""
    async with connected(session, credentials, receive_updates=True) as client:
        with scans(client) as scanned:
            while isinstance(found := await _exported(client, credentials), types.auth.LoginToken):
                if time.monotonic() >= give_up:
                    raise LoginError(NOT_SCANNED)
                if found.token != shown:
                    await show(_qr_code(found, session))
                    shown = found.token
                await until_scanned(scanned, min(_seconds_left(found), give_up - time.monotonic()))
                scanned.clear()
        me = await logged_in(client, found.user)
    return session.dumps(), me


# Sessions that exist already.


async def adopt(credentials: Credentials, session_text: str) -> tuple[str, Me]:
    """Whose session it is; and its text, with what the login adds to it."""
    session = StoredSession(session_text)
    async with connected(session, credentials, logged_in=True) as client:
        (user,) = await ask(client, functions.users.GetUsersRequest([types.InputUserSelf()]))
        me = await logged_in(client, user)
    return session.dumps(), me


async def log_out(credentials: Credentials, session_text: str) -> None:
    """End the session at Telegram. That it had ended before is no error."""
    try:
        async with connected(StoredSession(session_text), credentials, logged_in=True) as client:
            await ask(client, functions.auth.LogOutRequest())
    except PasswordNeeded:
        return
    except LoginError as error:
        if error.reason not in _ENDED:
            raise


def _digits(phone: str) -> str:
    return re.sub(r"\D", "", phone)


def _with_code(sent: CodeSent, code: str) -> Any:
    if sent.kind == "email_code":
        proof = types.EmailVerificationCode(code)
        return functions.auth.SignInRequest(sent.phone, sent.phone_code_hash, email_verification=proof)
    return functions.auth.SignInRequest(sent.phone, sent.phone_code_hash, phone_code=code)


def _code_sent(answer: Any, phone: str, session: StoredSession) -> CodeSent:
    if not isinstance(answer, types.auth.SentCode):
        raise LoginError(f"Telegram answers with {type(answer).__name__}, not with a code. Use a QR code instead.")
    kind = _kind(answer.type)
    if kind == "set_up_email_required":
        raise LoginError(SENTENCES["SET_UP_EMAIL_REQUIRED"], reason="SET_UP_EMAIL_REQUIRED")
    next_kind, resend_seconds = _kind(answer.next_type), answer.timeout or None
    return CodeSent(phone, session.dumps(), answer.phone_code_hash, kind, next_kind, resend_seconds)


def _kind(of: Any) -> str:
    """SentCodeTypeMissedCall and CodeTypeMissedCall are both missed_call."""
    if of is None:
        return ""
    name = type(of).__name__.removeprefix("Sent").removeprefix("CodeType")
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


async def _exported(client: TelegramClient, credentials: Credentials) -> Any:
    """The token to show (auth.LoginToken), or the login that it has led to (auth.Authorization)."""
    request = functions.auth.ExportLoginTokenRequest(credentials.api_id, credentials.api_hash, [])
    answer = await ask(client, request)
    if isinstance(answer, types.auth.LoginTokenMigrateTo):
        await move_to(client, answer.dc_id)
        answer = await ask(client, functions.auth.ImportLoginTokenRequest(answer.token))
    return answer.authorization if isinstance(answer, types.auth.LoginTokenSuccess) else answer


def _seconds_left(token: Any) -> float:
    """Until a token expires. Telegram tells the moment by its clock, and this machine's may be minutes wrong."""
    left: float = (token.expires - datetime.now(UTC)).total_seconds()
    return min(max(left, _TOKEN_LEAST), _TOKEN_MOST)


def _qr_code(token: Any, session: StoredSession) -> QrCode:
    text = base64.urlsafe_b64encode(token.token).decode().rstrip("=")
    return QrCode(session.dumps(), f"tg://login?token={text}", token.expires)
