"""RPC errors, which contain a name and a code. They are answers to requests."""

import re
from typing import Any

from telethon import errors
from telethon.tl import types


class RpcFailure(Exception):
    """The answer is an RPC error of this name; the code is Telegram's for that name."""

    def __init__(self, name: str, code: int | None = None) -> None:
        super().__init__(name)
        self.name = name
        self.code = code if code is not None else code_of(name)

    def as_tl(self) -> Any:
        return types.RpcError(self.code, self.name)


def code_of(name: str) -> int:
    """Telegram's code for this error; 400 if Telethon does not know the error."""
    known = errors.rpc_errors_dict.get(name)
    if known is None:
        known = next((cls for pattern, cls in errors.rpc_errors_re if re.match(pattern, name)), None)
    return int(getattr(known, "code", None) or 400)
