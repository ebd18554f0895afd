"""Reads CSV as spreadsheets write it: detects the separator, and returns each row with its line number."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
# Excel reads and writes this line above the header.
_SEPARATOR_LINE = re.compile(r"\s*sep=([,;\t|])\s*", re.IGNORECASE)
# The first characters of a text, which surely contain the whole header.
_HEADER = 10_000
# A spreadsheet evaluates a cell that begins with one of these.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class NoTable(ValueError):
    """The text is not a table. The message contains the line and the reason."""


@dataclass(frozen=True)
class Row:
    """A row. `line` is the line on which it begins; a cell may contain line breaks."""

    line: int
    cells: list[str]


def rows(text: str, separator: str) -> Iterator[Row]:
    """All rows that are not empty. Lines may end in LF, CR or both. Raises `NoTable` if a quoted cell has no end."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            raise NoTable(f"line {line} is not valid CSV: {problem}") from None
        if any(cell.strip() for cell in cells) and not (line == 1 and _declared_separator(text)):
            yield Row(line, cells)
        line = reader.line_num + 1


def separator_of(text: str, is_column: Callable[[str], bool]) -> str:
    """The separator that the first line declares, or else the one with which the header has the most known columns."""
    if declared := _declared_separator(text):
        return declared

    def fitness(separator: str) -> tuple[int, int]:
        try:
            header = next(rows(text[:_HEADER], separator), Row(1, [])).cells
        except NoTable:
            return 0, 0
        return sum(map(is_column, header)), len(header)

    return max(SEPARATORS, key=fitness)


def _declared_separator(text: str) -> str:
    first = text[:20].splitlines()[:1]
    found = _SEPARATOR_LINE.fullmatch(first[0]) if first else None
    return found[1] if found else ""


def harmless(text: str) -> str:
    """The text with an apostrophe in front if a spreadsheet would evaluate it. `plain` removes the apostrophe."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def plain(text: str) -> str:
    """The cell's text without surrounding spaces and without the apostrophe of `harmless`."""
    bare = text.strip()
    return bare[1:] if bare.startswith("'") and bare[1:].startswith(_FORMULA) else bare
