"""Login codes, with which a login by phone number continues."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

CODE_LENGTH = 5
CODE_VALID_SECONDS = 120
# Telegram's test numbers 99966XYYYY always get the code XXXXX (https://core.telegram.org/api/auth#test-accounts).
TEST_NUMBER = re.compile(r"99966(\d)\d{4}")

CodeKind = Literal["app", "sms", "call"]
# How a code is sent at first, and in which ways when it is requested again.
WAYS: tuple[CodeKind, ...] = ("app", "sms", "call")
# Seconds before a code may be sent in the next way.
RESEND_AFTER: dict[CodeKind, int | None] = {"app": None, "sms": 60, "call": None}


@dataclass(frozen=True)
class LoginCode:
    phone: str
    code: str
    hash: str
    kind: CodeKind
    expires_at: float

    @property
    def next_kind(self) -> CodeKind | None:
        position = WAYS.index(self.kind) + 1
        return WAYS[position] if position < len(WAYS) else None


class LoginCodes:
    """Codes that were requested and not used yet, one per phone number. `clock` returns Unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pending: dict[str, LoginCode] = {}

    def issue(self, phone: str) -> LoginCode:
        return self._send(phone, secrets.token_hex(9), "app")

    def resend(self, pending: LoginCode) -> LoginCode | None:
        """A new code for the same hash, sent in the next way; None if there is no other way."""
        return self._send(pending.phone, pending.hash, pending.next_kind) if pending.next_kind else None

    def pending(self, phone: str | None) -> LoginCode | None:
        """The code that this number can still use."""
        found = self._pending.get(phone) if phone else None
        return found if found and self._clock() < found.expires_at else None

    def expire(self, phone: str) -> None:
        """Let the code expire now."""
        if found := self._pending.get(phone):
            self._pending[phone] = replace(found, expires_at=0.0)

    def use(self, phone: str) -> None:
        self._pending.pop(phone, None)

    def clear(self) -> None:
        self._pending.clear()

    def _send(self, phone: str, code_hash: str, kind: CodeKind) -> LoginCode:
        test = TEST_NUMBER.fullmatch(phone)
        code = test[1] * CODE_LENGTH if test else f"{secrets.randbelow(10**CODE_LENGTH):0{CODE_LENGTH}d}"
        self._pending[phone] = LoginCode(phone, code, code_hash, kind, self._clock() + CODE_VALID_SECONDS)
        return self._pending[phone]
