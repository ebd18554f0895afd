"""Suppressions as CSV: a header, then a person a line. A file with any mistake is refused whole, with each mistake told
by its line."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from campaigns.models import Suppression
from campaigns.names import is_person_id, is_username
from campaigns.selectors import plain_username
from campaigns.suppressing import Entry
from messaging.wire import unstorable

COLUMNS = ("telegram_user_id", "username", "source", "reason", "created_at")
# Larger files are cut by hand: the form holds one in memory.
MOST_BYTES = 20 * 2**20
# More mistakes than these tell nothing new.
MOST_PROBLEMS = 100
_REASON_LENGTH = 300
# A table that is opened in a spreadsheet must not calculate what somebody typed.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass
class Parsed:
    """`problems` are sentences with their lines; when there is any, `entries` are of no use."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def parse(content: bytes) -> Parsed:
    """Separated by commas or semicolons, UTF-8, in any order of the columns; `created_at` is not read."""
    if len(content) > MOST_BYTES:
        return Parsed(problems=[f"the file is larger than {MOST_BYTES // 2**20} MB"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        return Parsed(problems=[f"the file is not UTF-8: {problem.reason} at byte {problem.start}"])
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in first else ",", strict=True)
    try:
        return _rows(reader)
    except csv.Error as problem:
        return Parsed(problems=[f"line {reader.line_num}: no CSV: {problem}"])


def _rows(reader: Any) -> Parsed:
    header = [name.strip().lower() for name in next(reader, [])]
    if problem := _header_problem(header):
        return Parsed(problems=[f"line 1: {problem}"])
    parsed, seen = Parsed(), dict[object, int]()
    for values in reader:
        line = reader.line_num
        if not any(value.strip() for value in values):
            continue
        found = _entry(header, values)
        if isinstance(found, Entry):
            who: object = plain_username(found.username) if found.telegram_user_id is None else found.telegram_user_id
            before = seen.setdefault(who, line)
            found = found if before == line else f"is the same person as line {before}"
        if isinstance(found, Entry):
            parsed.entries.append(found)
        else:
            parsed.problems.append(f"line {line}: {found}")
            if len(parsed.problems) >= MOST_PROBLEMS:
                parsed.problems.append("… and perhaps more")
                break
    if not parsed.entries and not parsed.problems:
        parsed.problems.append("nobody is in the file")
    return parsed


def _header_problem(header: list[str]) -> str:
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        return f"unknown column {unknown[0][:40]!r}: there are {', '.join(COLUMNS)}"
    if len(set(header)) < len(header):
        return "a column is there twice"
    if not {"telegram_user_id", "username"} & set(header):
        return "a column telegram_user_id or username is needed"
    return ""


def _entry(header: list[str], values: list[str]) -> Entry | str:
    """The person, or what is wrong with the line."""
    if len(values) != len(header):
        return f"has {len(values)} fields, the header {len(header)}"
    given = {name: _plain(value) for name, value in zip(header, values, strict=True)}
    number, name = given.get("telegram_user_id", ""), given.get("username", "").removeprefix("@")
    if not number and not name:
        return "names nobody: a telegram_user_id or a username is needed"
    if number and not is_person_id(number):
        return f"telegram_user_id {number[:40]!r} is no Telegram id of a person"
    if name and not is_username(name):
        return f"username {name[:40]!r} is no Telegram username"
    source = given.get("source") or Suppression.Source.IMPORT
    if source not in Suppression.Source.values:
        return f"source {source[:40]!r} is none of {', '.join(Suppression.Source.values)}"
    reason = given.get("reason", "")
    if problem := unstorable(reason):
        return f"the reason {problem}"
    if len(reason) > _REASON_LENGTH:
        return f"the reason has {len(reason)} characters; {_REASON_LENGTH} are the most"
    return Entry(int(number) if number else None, name, Suppression.Source(source), reason)


def lines() -> Iterator[str]:
    """Everybody who is suppressed, the oldest first. Erased people are not in it: nobody knows who they are."""
    out = io.StringIO()
    writer = csv.writer(out)

    def taken() -> str:
        text = out.getvalue()
        out.seek(0)
        out.truncate()
        return text

    writer.writerow(COLUMNS)
    yield taken()
    # What one file brought has one time.
    known = Suppression.objects.filter(person_hash="").order_by("created_at", "telegram_user_id", "username")
    for row in known.iterator(chunk_size=2000):
        id_text = "" if row.telegram_user_id is None else row.telegram_user_id
        writer.writerow([id_text, row.username, row.source, _safe(row.reason), row.created_at.isoformat()])
        yield taken()


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _plain(text: str) -> str:
    """As `_safe` wrote it."""
    plain = text.strip()
    return plain[1:] if plain.startswith("'") and plain[1:].startswith(_FORMULA) else plain
