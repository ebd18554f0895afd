"""Reads `error_table.csv`: what each of Telegram's errors is about and what follows from it. Free of Telethon.

It has every error that the methods which telegram/ calls are known to answer. An X in a name stands for a number, a *
for any words. An error that is not in it counts as passing, and `take_unlisted` hands its name to a worker, which
reports it.
"""

import csv
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

# Whom or what an error is about: the whole account, one chat, one person, the text and what it refers to, the method
# in all of the account's chats, a login, or nothing that lasts.
Scope = Literal["account", "chat", "person", "message", "method", "login", "passing"]
# ban, login: the account is lost, until somebody logs it in. restrict, restrict_supergroups: until a person has looked
# it makes no first contacts, or writes in no supergroup either. full: it can be in no more chats. move: Telegram keeps
# it elsewhere. wait: for the time that the error names. removed, silenced: the account is not in the chat any more, or
# may not write there. refuse: this chat or person will not have it. fail: the same request never succeeds.
# done, sent: it is so already. retry: the same request may succeed later.
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
    """One row. `note`: why neither Telethon nor Telegram's own pages list the error."""

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
    # A class of Telethon's may have lost the number: USER_MIGRATE.
    return re.compile(re.sub(r"_X(?=_|$)", r"(?:_\\d+)?", name).replace("*", "[A-Z_]+"))


ENTRIES: tuple[ErrorEntry, ...] = tuple(_read(TABLE_FILE))
_BY_NAME = {entry.error: entry for entry in ENTRIES}
_PATTERNS = [(_pattern(name), entry) for name, entry in _BY_NAME.items() if re.search(r"_X(_|$)|\*", name)]


def entry_of(error: str) -> ErrorEntry | None:
    """The row of an error as Telegram named it (FLOOD_WAIT_42); None when the table does not have it."""
    found = _BY_NAME.get(error)
    if found is not None:
        return found
    return next((entry for pattern, entry in _PATTERNS if pattern.fullmatch(error)), None)


# Names that were met and are not in the table, with the method that was refused, until somebody reports them.
_unlisted: dict[str, str] = {}
_lock = threading.Lock()
# A server that makes up names must not fill the memory.
UNLISTED_MOST, NAME_MOST = 100, 80


def note_unlisted(error: str, method: str) -> None:
    """Numbers in a name are left out, as in the table: the same error with another number is known."""
    name = re.sub(r"\d+", "X", error)[:NAME_MOST]
    with _lock:
        if len(_unlisted) < UNLISTED_MOST:
            _unlisted.setdefault(name, method)


def take_unlisted() -> dict[str, str]:
    """Errors outside the table that this process has met since the last call, each with the method it refused."""
    with _lock:
        taken = dict(_unlisted)
        _unlisted.clear()
    return taken
