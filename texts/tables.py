"""Rows of a table in a text, as spreadsheets write it: what separates its cells, and on which line each row begins."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
# Excel reads and writes this line above the header.
_SAYS_SEPARATOR = re.compile(r"\s*sep=([,;\t|])\s*", re.IGNORECASE)
# Characters in which a header surely ends.
_HEADER = 10_000
# A spreadsheet evaluates a cell that begins with one of these.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class NoTable(ValueError):
    """The text is no table; the sentence says where and why."""


@dataclass(frozen=True)
class Row:
    """`line` is the one on which the row begins: a cell may hold further lines."""

    line: int
    cells: list[str]


def rows(text: str, separator: str) -> Iterator[Row]:
    """All rows but empty ones. Lines end in LF, CR or both, also mixed. Raises `NoTable` where a row ends nowhere."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            raise NoTable(f"line {line}: no CSV: {problem}") from None
        if any(cell.strip() for cell in cells) and not (line == 1 and _says_separator(text)):
            yield Row(line, cells)
        line = reader.line_num + 1


def separator_of(text: str, is_column: Callable[[str], bool]) -> str:
    """What separates the cells: the first line says so, or it is what makes the most known columns of the header."""
    if said := _says_separator(text):
        return said

    def fitness(separator: str) -> tuple[int, int]:
        try:
            header = next(rows(text[:_HEADER], separator), Row(1, [])).cells
        except NoTable:
            return 0, 0
        return sum(map(is_column, header)), len(header)

    return max(SEPARATORS, key=fitness)


def _says_separator(text: str) -> str:
    first = text[:20].splitlines()[:1]
    found = _SAYS_SEPARATOR.fullmatch(first[0]) if first else None
    return found[1] if found else ""


def harmless(text: str) -> str:
    """A cell that no spreadsheet evaluates; `plain` removes the apostrophe again."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def plain(text: str) -> str:
    """A cell without the spaces around it, and without the apostrophe of `harmless`."""
    bare = text.strip()
    return bare[1:] if bare.startswith("'") and bare[1:].startswith(_FORMULA) else bare
