"""Login codes: the second half of a phone number's login."""

import re
import secrets
from dataclasses import dataclass

CODE_LENGTH = 5
# Telegram's test numbers 99966XYYYY always get the code XXXXX (https://core.telegram.org/api/auth#test-accounts).
TEST_NUMBER = re.compile(r"99966(\d)\d{4}")


@dataclass(frozen=True)
class LoginCode:
    phone: str
    code: str
    hash: str


class LoginCodes:
    """Codes that were asked for and not used yet, one a phone number."""

    def __init__(self) -> None:
        self._pending: dict[str, LoginCode] = {}

    def issue(self, phone: str) -> LoginCode:
        test = TEST_NUMBER.fullmatch(phone)
        code = test[1] * CODE_LENGTH if test else f"{secrets.randbelow(10**CODE_LENGTH):0{CODE_LENGTH}d}"
        self._pending[phone] = LoginCode(phone, code, secrets.token_hex(9))
        return self._pending[phone]

    def pending(self, phone: str | None) -> LoginCode | None:
        return self._pending.get(phone) if phone else None

    def use(self, phone: str) -> None:
        self._pending.pop(phone, None)

    def clear(self) -> None:
        self._pending.clear()
