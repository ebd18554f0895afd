"""Reads suppression files: a header, then one person per line, with the encodings and separators of spreadsheets.

Reading changes nothing. A `ParsedFile` also explains how the file was read.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from campaigns.identifiers import is_username, plain_username
from campaigns.models import Suppression
from campaigns.suppressions.bulk import SuppressionEntry
from campaigns.suppressions.cells import Damaged, as_id, as_username
from campaigns.suppressions.headers import COLUMNS, ID, NAME, REASON, SOURCE, columns_of, meaning_of
from messaging.wire import unstorable
from texts.decoding import Decoded, NotText, decode
from texts.tables import SEPARATORS, NoTable, Row, harmless, plain, rows, separator_of

# Bytes. Files are read into memory, so operators have to split larger ones.
MOST_BYTES = 20 * 2**20
# The most lines of one kind that are listed; all are counted.
MOST_LISTED = 100
# The number of rows in a preview.
_SAMPLE = 5
_REASON_LENGTH = 300


@dataclass
class Notes:
    """Sentences about lines: all are counted, the first `MOST_LISTED` are stored."""

    count: int = 0
    lines: list[str] = field(default_factory=list)

    def add(self, line: int, what: str) -> None:
        self.count += 1
        if self.count <= MOST_LISTED:
            self.lines.append(f"line {line}: {what}")

    @property
    def more(self) -> int:
        return self.count - len(self.lines)


@dataclass
class ParsedFile:
    """The contents of a file, and how it was read.

    `columns` are the headers, each with the column that it stands for ("" if the column is not read). `damaged` lines
    are left out; `skipped` lines repeat a person. `sample` contains the first rows, unchanged. A `problem` means that
    the file cannot be read; then the other fields are incomplete.
    """

    problem: str = ""
    decoded: Decoded | None = None
    separator: str = ","
    columns: list[tuple[str, str]] = field(default_factory=list)
    sample: list[Row] = field(default_factory=list)
    entries: list[SuppressionEntry] = field(default_factory=list)
    damaged: Notes = field(default_factory=Notes)
    skipped: Notes = field(default_factory=Notes)

    @property
    def separator_name(self) -> str:
        return SEPARATORS[self.separator]

    @property
    def not_read(self) -> list[str]:
        return [header for header, meaning in self.columns if not meaning or meaning == "created_at"]

    def understood(self) -> list[str]:
        """The encoding, the separator and the columns, as sentences."""
        assert self.decoded is not None
        read = [f"{header} → {meaning}" if header != meaning else header for header, meaning in self.columns if meaning]
        unread = [f"not read: {', '.join(name or '(no name)' for name in self.not_read)}"] if self.not_read else []
        return [
            f"encoding: {self.decoded.encoding_name}, {self.decoded.how}",
            f"separator: {self.separator_name}",
            f"columns: {', '.join(name for name in read if name != 'created_at')}",
            *unread,
        ]


def read(content: bytes, *, encoding: str = "", separator: str = "") -> ParsedFile:
    """Read the people in a file. `encoding` and `separator` are detected unless they are given."""
    reading = ParsedFile()
    try:
        _read(reading, content, encoding, separator)
    except (NotText, NoTable) as problem:
        reading.problem = str(problem)
    return reading


def _read(reading: ParsedFile, content: bytes, encoding: str, separator: str) -> None:
    if len(content) > MOST_BYTES:
        raise NotText(f"it is larger than {MOST_BYTES // 2**20} MB: split it into several files")
    reading.decoded = decode(content, encoding)
    text = reading.decoded.text
    reading.separator = separator or separator_of(text, lambda cell: bool(meaning_of(cell)))
    table = rows(text, reading.separator)
    header = next(table, Row(1, []))
    reading.columns = columns_of(header.cells)
    if problem := _header_problem([meaning for _, meaning in reading.columns if meaning]):
        raise NoTable(f"line {header.line}: {problem}{_found(reading)}")
    _read_people(reading, table)
    if not reading.entries and not reading.damaged.count:
        raise NoTable("the file has a header but no people")


def _read_people(reading: ParsedFile, table: Iterator[Row]) -> None:
    seen = dict[object, int]()
    for row in table:
        if len(reading.sample) < _SAMPLE:
            reading.sample.append(row)
        try:
            entry = _entry(reading.columns, row)
        except Damaged as problem:
            reading.damaged.add(row.line, str(problem))
            continue
        who: object = plain_username(entry.username) if entry.telegram_user_id is None else entry.telegram_user_id
        before = seen.setdefault(who, row.line)
        if before == row.line:
            reading.entries.append(entry)
        else:
            reading.skipped.add(row.line, f"is the same person as line {before}")


def _header_problem(meanings: Sequence[str]) -> str:
    twice = [name for name in COLUMNS if meanings.count(name) > 1]
    if twice:
        return f"there are two columns {twice[0]}"
    if not {ID, NAME} & set(meanings):
        return f"the file needs a column {ID} or {NAME}"
    return ""


def _found(reading: ParsedFile) -> str:
    there = ", ".join(repr(header[:40]) for header, _ in reading.columns[:10])
    return f"; the first line has {there}" if there else ""


def _entry(columns: Sequence[tuple[str, str]], row: Row) -> SuppressionEntry:
    """The person in the row. Raises `Damaged`; its text describes what is wrong with the line."""
    cells = row.cells
    # Spreadsheets add empty cells at the end of rows.
    while len(cells) > len(columns) and not cells[-1].strip():
        cells = cells[:-1]
    if len(cells) != len(columns):
        raise Damaged(f"has {len(cells)} fields, but the header has {len(columns)}")
    given = {name: cell for (_, name), cell in zip(columns, cells, strict=True) if name}
    number, name = as_id(given.get(ID, "")), as_username(given.get(NAME, ""))
    if number is None and not name:
        raise Damaged(_unread_name(columns, cells) or "has neither a telegram_user_id nor a username")
    source = plain(given.get(SOURCE, "")) or Suppression.Source.IMPORT
    if source not in Suppression.Source.values:
        raise Damaged(f"source {source[:40]!r} must be one of {', '.join(Suppression.Source.values)}")
    return SuppressionEntry(number, name, Suppression.Source(source), _reason(given.get(REASON, "")), line=row.line)


def _unread_name(columns: Sequence[tuple[str, str]], cells: Sequence[str]) -> str:
    """A hint if a column that is not read contains a username with @; otherwise ""."""
    for (header, meaning), cell in zip(columns, cells, strict=True):
        name = plain(cell.strip())
        if not meaning and name.startswith("@") and is_username(name[1:]):
            column = header[:40] or "(no name)"
            return f"{name} is in the column {column!r}, which is not read: rename the column to {NAME}"
    return ""


def _reason(cell: str) -> str:
    reason = plain(cell)
    if problem := unstorable(reason):
        raise Damaged(f"the reason {problem}")
    if len(reason) > _REASON_LENGTH:
        raise Damaged(f"the reason has {len(reason)} characters, but at most {_REASON_LENGTH} are allowed")
    return reason


def lines() -> Iterator[str]:
    """All suppressions as lines of a file, the oldest first, without those of erased people, whose ids are unknown."""
    out = io.StringIO()
    writer = csv.writer(out)

    def taken() -> str:
        text = out.getvalue()
        out.seek(0)
        out.truncate()
        return text

    writer.writerow(COLUMNS)
    yield taken()
    # The suppressions of one import have the same time.
    known = Suppression.objects.filter(person_hash="").order_by("created_at", "telegram_user_id", "username")
    for row in known.iterator(chunk_size=2000):
        id_text = "" if row.telegram_user_id is None else row.telegram_user_id
        created = row.created_at.isoformat()
        writer.writerow([id_text, harmless(row.username), row.source, harmless(row.reason), created])
        yield taken()
