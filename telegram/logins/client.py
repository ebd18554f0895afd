"""The login requests to Telegram: log in by code, password or QR code, take over a session, log out.

Every function opens one connection and closes it. Do not call a function while another process is connected with the
same session: two connections with one key destroy the session. All functions raise LoginError.
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
from telegram.logins.connection import answer_to, connected, logged_in, move_to
from telegram.logins.qr import scans, until_scanned
from telegram.logins.types import SENTENCES, CodeSent, LoginError, PasswordNeeded, QrCode
from telegram.types import Credentials, Me

__all__ = ["CodeSent", "LoginError", "PasswordNeeded", "QrCode"]

# Errors that show that Telegram has ended the session already.
_ENDED = frozenset(
    {"AUTH_KEY_UNREGISTERED", "AUTH_KEY_NOT_FOUND", "AUTH_KEY_DUPLICATED", "SESSION_REVOKED", "SESSION_EXPIRED"}
)


NOT_SCANNED = "The QR code was not scanned. Start again when you have the account's phone at hand."
# Bounds of the seconds that a QR code's token is valid: Telegram's tokens last half a minute.
_TOKEN_LEAST, _TOKEN_MOST = 2.0, 60.0

# Login by code.


async def request_code(credentials: Credentials, phone: str) -> CodeSent:
    """Request a code, which Telegram sends to the account."""
    session, number = StoredSession(), _digits(phone)
    request = functions.auth.SendCodeRequest(number, credentials.api_id, credentials.api_hash, types.CodeSettings())
    async with connected(session, credentials) as client:
        answer = await answer_to(client, request)
    return _code_sent(answer, number, session)


async def resend_code(credentials: Credentials, sent: CodeSent) -> CodeSent:
    """Request the code again, in the way that `sent.next_kind` names."""
    session = StoredSession(sent.session)
    async with connected(session, credentials) as client:
        answer = await answer_to(client, functions.auth.ResendCodeRequest(sent.phone, sent.phone_code_hash))
    return _code_sent(answer, sent.phone, session)


async def sign_in(credentials: Credentials, sent: CodeSent, code: str) -> tuple[str, Me]:
    """Log in. Returns the session's text and the account. Raises PasswordNeeded if the account has a password."""
    session = StoredSession(sent.session)
    async with connected(session, credentials) as client:
        answer = await answer_to(client, _with_code(sent, code.strip()))
        if isinstance(answer, types.auth.AuthorizationSignUpRequired):
            raise LoginError(SENTENCES["PHONE_NUMBER_UNOCCUPIED"], reason="PHONE_NUMBER_UNOCCUPIED")
        me = await logged_in(client, answer.user)
    return session.dumps(), me


async def check_password(credentials: Credentials, session_text: str, password: str) -> tuple[str, Me]:
    """Complete a login with the password and the session of PasswordNeeded. Telegram gets only a proof (SRP)."""
    session = StoredSession(session_text)
    async with connected(session, credentials) as client:
        challenge = await answer_to(client, functions.account.GetPasswordRequest())
        try:
            proof = srp.compute_check(challenge, password)
        except ValueError as error:
            raise LoginError(
                f"CoolThing does not know how Telegram checks this password ({error}). Use a QR code."
            ) from error
        answer = await answer_to(client, functions.auth.CheckPasswordRequest(proof))
        me = await logged_in(client, answer.user)
    return session.dumps(), me


# Login by QR code.


async def qr_wait(
    credentials: Credentials, show: Callable[[QrCode], Awaitable[object]], *, limit: float, session_text: str = ""
) -> tuple[str, Me]:
    """Show QR codes, each until it expires, until a code is scanned.

    Raises LoginError after `limit` seconds, and PasswordNeeded if the account has a password. Pass the session of a
    code that was shown before as `session_text`; that code then stays valid.
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


# Existing sessions.


async def adopt(credentials: Credentials, session_text: str) -> tuple[str, Me]:
    """Take over a session. Returns its text, completed by the login, and the account that it belongs to."""
    session = StoredSession(session_text)
    async with connected(session, credentials, logged_in=True) as client:
        (user,) = await answer_to(client, functions.users.GetUsersRequest([types.InputUserSelf()]))
        me = await logged_in(client, user)
    return session.dumps(), me


async def log_out(credentials: Credentials, session_text: str) -> None:
    """End the session at Telegram. Does nothing if it has ended already."""
    try:
        async with connected(StoredSession(session_text), credentials, logged_in=True) as client:
            await answer_to(client, functions.auth.LogOutRequest())
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
        raise LoginError(f"Telegram answered with {type(answer).__name__} and sent no code. Use a QR code instead.")
    kind = _kind(answer.type)
    if kind == "set_up_email_required":
        raise LoginError(SENTENCES["SET_UP_EMAIL_REQUIRED"], reason="SET_UP_EMAIL_REQUIRED")
    next_kind, resend_seconds = _kind(answer.next_type), answer.timeout or None
    return CodeSent(phone, session.dumps(), answer.phone_code_hash, kind, next_kind, resend_seconds)


def _kind(of: Any) -> str:
    """The kind of a code in lower case: missed_call for SentCodeTypeMissedCall and CodeTypeMissedCall."""
    if of is None:
        return ""
    name = type(of).__name__.removeprefix("Sent").removeprefix("CodeType")
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


async def _exported(client: TelegramClient, credentials: Credentials) -> Any:
    """The token to show (auth.LoginToken), or the completed login (auth.Authorization)."""
    request = functions.auth.ExportLoginTokenRequest(credentials.api_id, credentials.api_hash, [])
    answer = await answer_to(client, request)
    if isinstance(answer, types.auth.LoginTokenMigrateTo):
        await move_to(client, answer.dc_id)
        answer = await answer_to(client, functions.auth.ImportLoginTokenRequest(answer.token))
    return answer.authorization if isinstance(answer, types.auth.LoginTokenSuccess) else answer


def _seconds_left(token: Any) -> float:
    """Seconds until a token expires, within bounds, because this machine's clock may be wrong by minutes."""
    left: float = (token.expires - datetime.now(UTC)).total_seconds()
    return min(max(left, _TOKEN_LEAST), _TOKEN_MOST)


def _qr_code(token: Any, session: StoredSession) -> QrCode:
    text = base64.urlsafe_b64encode(token.token).decode().rstrip("=")
    return QrCode(session.dumps(), f"tg://login?token={text}", token.expires)
