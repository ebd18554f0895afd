"""Login tokens: the contents of QR codes, and the users who have scanned them (https://core.telegram.org/api/qr-login)."""

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.mtproto.encryption.authkeys import AuthKey
from sandbox.mtproto.rpc_errors import RpcFailure

TOKEN_VALID_SECONDS = 30
URL = "tg://login?token="


@dataclass
class LoginToken:
    """A token for `key`. `user_id` is the user who has accepted it."""

    token: bytes
    key: AuthKey
    expires_at: float
    user_id: int | None = None


class LoginTokens:
    """`clock` gives unix seconds; `valid_seconds` may be changed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tokens: dict[bytes, LoginToken] = {}
        self.valid_seconds = float(TOKEN_VALID_SECONDS)

    def of(self, key: AuthKey) -> LoginToken:
        """The key's token, if it is accepted or has not expired; otherwise a new token."""
        for login_token in list(self._tokens.values()):
            if login_token.user_id is None and login_token.expires_at <= self._clock():
                del self._tokens[login_token.token]
            elif login_token.key is key:
                return login_token
        made = LoginToken(os.urandom(16), key, self._clock() + self.valid_seconds)
        self._tokens[made.token] = made
        return made

    def accept(self, token: bytes, user_id: int) -> LoginToken:
        found = self._tokens.get(token)
        if found is None:
            raise RpcFailure("AUTH_TOKEN_INVALID")
        if found.user_id is not None:
            raise RpcFailure("AUTH_TOKEN_ALREADY_ACCEPTED")
        if found.expires_at <= self._clock():
            raise RpcFailure("AUTH_TOKEN_EXPIRED")
        found.user_id = user_id
        return found

    def accepted(self, token: bytes) -> LoginToken:
        """The accepted token, for a client that uses it at another data centre."""
        found = self._tokens.get(token)
        if found is None or found.user_id is None:
            raise RpcFailure("AUTH_TOKEN_INVALID")
        return found

    def use(self, token: LoginToken) -> None:
        self._tokens.pop(token.token, None)

    def clear(self) -> None:
        self._tokens.clear()


def token_of(url: str) -> bytes:
    """The token in a QR code's address. Raises ValueError."""
    if not url.startswith(URL):
        raise ValueError(f"not {URL}…")
    text = url.removeprefix(URL)
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
