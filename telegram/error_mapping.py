"""Sorts Telethon's errors into the kinds of `telegram.errors` by `telegram.error_table`."""

import asyncio
import logging
import re
import sqlite3
import traceback
from collections.abc import Callable

from telethon import errors as rpc

from telegram.error_table import ErrorEntry, entry_of, note_unlisted
from telegram.errors import (
    AlreadySent,
    BotDead,
    BotFull,
    BotRestricted,
    ChatRefuses,
    PassingError,
    PeerRefuses,
    PermanentError,
    RetryAfter,
    TelegramError,
    TransientError,
)

# The wait (seconds) if Telegram's error contains no time.
UNSPECIFIED_WAIT_SECONDS = 60
# Telegram's code for flood waits, and its codes for failures of its servers (negative codes are the transport's).
_FLOOD_CODE = 420
_SERVER_CODES = (-500, -503, 500, 503)
_FIRST_SERVER_CODE = 500
# The attributes in which Telethon's classes store the number of an error name.
_NUMBERS = ("seconds", "new_dc")

log = logging.getLogger(__name__)


def _spelled(error_type: type[BaseException]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", error_type.__name__.removesuffix("Error")).upper()


# Telethon matches errors with a number by pattern, and their class names spell the error; but SLOWMODE is one word.
_NAMES: dict[type[BaseException], str] = {
    **{error_type: name for name, error_type in rpc.rpcerrorlist.rpc_errors_dict.items()},
    **{error_type: _spelled(error_type) for _, error_type in rpc.rpcerrorlist.rpc_errors_re},
    rpc.SlowModeWaitError: "SLOWMODE_WAIT",
}


def map_error(error: BaseException) -> TelegramError:
    """The kind of `error`. An unknown error counts as temporary, and its name is recorded for a report."""
    if isinstance(error, TelegramError):
        return error
    if isinstance(error, rpc.RPCError | rpc.common.AuthKeyNotFound):
        return _map_rpc(error)
    if isinstance(error, OSError | EOFError | asyncio.CancelledError | TimeoutError | rpc.InvalidBufferError):
        return TransientError(type(error).__name__)
    if isinstance(error, rpc.SecurityError | rpc.InvalidChecksumError | sqlite3.Error):
        return TransientError(type(error).__name__)
    kind, frames = type(error).__name__, "".join(traceback.format_tb(error.__traceback__))
    # Do not log the error's text: Telethon's texts contain bytes of messages.
    log.error("a request to Telegram failed with an unforeseen %s\n%s", kind, frames)
    note_unlisted(kind, method_of(error))
    return PassingError(kind)


def _map_rpc(error: BaseException) -> TelegramError:
    found = _kind_of(error)
    if isinstance(found, PassingError):
        found.refused = 0 < (getattr(error, "code", None) or 0) < _FIRST_SERVER_CODE
    return found


def _kind_of(error: BaseException) -> TelegramError:
    name = error_name(error)
    entry = entry_of(name.upper())
    if entry is None:
        return _unlisted(name, error)
    if entry.follows == "wait":
        return RetryAfter(_seconds(error), name, method_of(error))
    return _KINDS[entry.follows](name, entry)


def _refusal(name: str, entry: ErrorEntry) -> TelegramError:
    return PeerRefuses(name) if entry.scope == "person" else ChatRefuses(name)


_KINDS: dict[str, Callable[[str, ErrorEntry], TelegramError]] = {
    "ban": lambda name, _: BotDead(name, needs_login=False),
    "login": lambda name, _: BotDead(name, needs_login=True),
    "restrict": lambda name, _: BotRestricted(name),
    "restrict_supergroups": lambda name, _: BotRestricted(name),
    "full": lambda name, _: BotFull(name),
    "move": lambda name, _: PassingError(name),
    "removed": lambda name, _: ChatRefuses(name, says="removed"),
    "silenced": lambda name, _: ChatRefuses(name, says="silenced"),
    "refuse": _refusal,
    "fail": lambda name, _: PermanentError(name),
    "done": lambda name, _: PermanentError(name),
    "sent": lambda name, _: AlreadySent(name),
    "retry": lambda name, _: PassingError(name),
}


def _unlisted(name: str, error: BaseException) -> TelegramError:
    code = getattr(error, "code", None)
    if code not in _SERVER_CODES:
        log.warning("Telegram answered %s with %s (%s), which is not in the error table", method_of(error), name, code)
        note_unlisted(name, method_of(error))
    if code == _FLOOD_CODE:
        number = re.search(r"_(\d{1,20})$", name)
        return RetryAfter(int(number[1]) if number else UNSPECIFIED_WAIT_SECONDS, name, method_of(error))
    return PassingError(name)


def _seconds(error: BaseException) -> int:
    seconds = getattr(error, "seconds", None)
    return seconds if isinstance(seconds, int) else UNSPECIFIED_WAIT_SECONDS


def error_name(error: BaseException) -> str:
    """Telegram's name of an RPC error, with its number: FLOOD_WAIT_42."""
    known = _NAMES.get(type(error))
    if known is None:
        message = str(getattr(error, "message", "") or "")
        known = message if re.fullmatch(r"[A-Za-z0-9_]+", message) else _spelled(type(error))
    number = next((value for name in _NUMBERS if isinstance(value := getattr(error, name, None), int)), None)
    return known if number is None else f"{known}_{number}"


def method_of(error: BaseException) -> str:
    """The method that was refused, as Telethon names its request: SendMessage."""
    request = getattr(error, "request", None)
    while request is not None and hasattr(request, "query"):
        request = request.query
    return type(request).__name__.removesuffix("Request") if request is not None else ""
