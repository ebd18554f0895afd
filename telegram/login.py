"""Logging an account in by the code that Telegram sends it."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from telethon import TelegramClient
from telethon import errors as rpc
from telethon.tl import types

from telegram.calls import REQUEST_TIMEOUT, close, guarded
from telegram.config import new_client
from telegram.errors import RetryAfter, TelegramError, TransientError
from telegram.store import StoredSession
from telegram.types import Credentials, Me


class LoginError(Exception):
    """Why the login did not work: a sentence for the person at the keyboard."""


@dataclass(frozen=True)
class PendingLogin:
    """A login that waits for its code. `session` holds a key: treat it as a secret."""

    credentials: Credentials
    phone: str
    session: str
    phone_code_hash: str


class PasswordNeeded(LoginError):
    """The code was right, and the account has a password as well: call `sign_in(pending, "", password)`."""

    def __init__(self, pending: PendingLogin) -> None:
        super().__init__("the account has a password (two-step verification)")
        self.pending = pending


SENTENCES = {
    "PHONE_NUMBER_INVALID": "Telegram does not accept this phone number; it must be in international form, +…",
    "PHONE_NUMBER_UNOCCUPIED": "no Telegram account has this phone number; sign up with the official app first",
    "PHONE_NUMBER_BANNED": "Telegram has banned this phone number",
    "PHONE_NUMBER_FLOOD": "too many codes were asked for; try again tomorrow",
    "PHONE_PASSWORD_FLOOD": "too many wrong passwords; try again tomorrow",
    "PHONE_CODE_INVALID": "the code is wrong",
    "PHONE_CODE_EMPTY": "the code is missing",
    "PHONE_CODE_EXPIRED": "the code has expired; ask for a new one",
    "PASSWORD_HASH_INVALID": "the password is wrong",
    "API_ID_INVALID": "Telegram does not know this api_id and api_hash",
    "API_ID_PUBLISHED_FLOOD": "this api_id may not be used: it is public; get your own at https://my.telegram.org",
}


async def request_code(credentials: Credentials, phone: str) -> PendingLogin:
    """Have Telegram send a code to the account. Raises LoginError."""
    session = StoredSession()
    client = _client(session, credentials)
    try:
        await _asked(client.connect())
        answer = await _asked(client.send_code_request(phone))
    finally:
        await close(client)
    return PendingLogin(credentials, phone, session.dumps(), answer.phone_code_hash)


async def sign_in(pending: PendingLogin, code: str, password: str | None = None) -> tuple[str, Me]:
    """Log in; returns the session's text and who it is. An empty `code` goes on after PasswordNeeded.

    Raises LoginError, among them PasswordNeeded.
    """
    session = StoredSession(pending.session)
    client = _client(session, pending.credentials)
    try:
        await _asked(client.connect())
        user = await _user(client, pending, code, password)
    except PasswordNeeded:
        raise PasswordNeeded(
            PendingLogin(pending.credentials, pending.phone, session.dumps(), pending.phone_code_hash)
        ) from None
    finally:
        await close(client)
    return session.dumps(), Me(user.id, user.username or "", user.phone or pending.phone)


async def _user(client: TelegramClient, pending: PendingLogin, code: str, password: str | None) -> types.User:
    if code:
        hashed = pending.phone_code_hash
        user = await _asked(client.sign_in(phone=pending.phone, code=code.strip(), phone_code_hash=hashed), pending)
        if user is not None:
            return user
    if password is None:
        raise LoginError("the code is missing")
    return await _asked(client.sign_in(password=password))


async def _asked(awaitable: Awaitable[Any], pending: PendingLogin | None = None) -> Any:
    try:
        return await guarded(awaitable, REQUEST_TIMEOUT)
    except TelegramError as error:
        if pending is not None and isinstance(error.__cause__, rpc.SessionPasswordNeededError):
            raise PasswordNeeded(pending) from None
        raise LoginError(_sentence(error)) from error


def _sentence(error: TelegramError) -> str:
    if error.reason in SENTENCES:
        return SENTENCES[error.reason]
    if isinstance(error, RetryAfter):
        return f"Telegram asks to wait {error.seconds} seconds before the next attempt"
    if isinstance(error, TransientError):
        return f"Telegram cannot be reached ({error.reason})"
    return f"Telegram refused: {error.reason}"


def _client(session: StoredSession, credentials: Credentials) -> TelegramClient:
    try:
        return new_client(session, credentials, receive_updates=False)
    except ValueError as error:
        raise LoginError(str(error)) from error
