"""Reads `error_table.csv`: the scope and the consequence of each of Telegram's errors. Does not import Telethon.

The table contains every error that the methods called by telegram/ are known to return. An X in a name stands for a
number, a * for any words. An error that is not in the table counts as temporary, and `take_unlisted` returns its name
to a worker, which reports it.
"""

import csv
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

# The scope of an error: the whole account, one chat, one person, the message and what it refers to, the method in all
# chats of the account, a login, or a temporary failure.
Scope = Literal["account", "chat", "person", "message", "method", "login", "passing"]
# ban, login: the account cannot be used until an operator logs it in. restrict: the account makes no first contacts
# until an operator releases it; restrict_supergroups: it does not write in supergroups either. full: the account cannot
# join more chats. move: Telegram has moved the account to another data centre. wait: for the time in the error.
# removed, silenced: the account is no longer in the chat, or may not write there. refuse: this chat or person does not
# accept the request. fail: the same request never succeeds. done, sent: the request was carried out before. retry: the
# same request may succeed later.
Follows = Literal[
    "ban",
    "login",
    "restrict",
    "restrict_supergroups",
    "full",
    "move",
    "wait",
    "removed",
    "silenced",
    "refuse",
    "fail",
    "done",
    "sent",
    "retry",
]

TABLE_FILE = Path(__file__).with_name("error_table.csv")


@dataclass(frozen=True)
class ErrorEntry:
    """A row of the table. `note` is why neither Telethon nor Telegram's documentation lists the error."""

    error: str
    scope: Scope
    follows: Follows
    note: str


def _read(path: Path) -> list[ErrorEntry]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["scope"] not in get_args(Scope) or row["follows"] not in get_args(Follows):
            raise ValueError(f"{path.name}: {row['error']} has an unknown scope or consequence")
    return [
        ErrorEntry(row["error"], cast(Scope, row["scope"]), cast(Follows, row["follows"]), row["note"] or "")
        for row in rows
    ]


def _pattern(name: str) -> re.Pattern[str]:
    # The name from one of Telethon's classes may lack the number: USER_MIGRATE.
    return re.compile(re.sub(r"_X(?=_|$)", r"(?:_\\d+)?", name).replace("*", "[A-Z_]+"))


ENTRIES: tuple[ErrorEntry, ...] = tuple(_read(TABLE_FILE))
_BY_NAME = {entry.error: entry for entry in ENTRIES}
_PATTERNS = [(_pattern(name), entry) for name, entry in _BY_NAME.items() if re.search(r"_X(_|$)|\*", name)]


def entry_of(error: str) -> ErrorEntry | None:
    """The row of an error by Telegram's name (FLOOD_WAIT_42); None if the table does not contain it."""
    found = _BY_NAME.get(error)
    if found is not None:
        return found
    return next((entry for pattern, entry in _PATTERNS if pattern.fullmatch(error)), None)


# Errors that occurred and are not in the table, with the method that was refused, until `take_unlisted` returns them.
_unlisted: dict[str, str] = {}
_lock = threading.Lock()
# Limits, so that a server that invents names does not fill the memory.
UNLISTED_MOST, NAME_MOST = 100, 80


def note_unlisted(error: str, method: str) -> None:
    """Record an error that is not in the table. Numbers in its name become X, as in the table."""
    name = re.sub(r"\d+", "X", error)[:NAME_MOST]
    with _lock:
        if len(_unlisted) < UNLISTED_MOST:
            _unlisted.setdefault(name, method)


def take_unlisted() -> dict[str, str]:
    """The errors outside the table that occurred in this process since the last call, with the refused methods."""
    with _lock:
        taken = dict(_unlisted)
        _unlisted.clear()
    return taken
