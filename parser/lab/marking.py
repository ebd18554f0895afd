"""A text with the places that keywords were found in, as pieces for a page."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from parser.keywords.explaining import Explanation

# What a piece is part of: a plus term that was found, a minus term, a part of a term that was not found as a whole.
PieceKind = Literal["", "plus", "minus", "miss"]
# Where places overlap, the later kind wins.
_RANK: tuple[PieceKind, ...] = ("", "miss", "plus", "minus")


@dataclass(frozen=True)
class Piece:
    """A part of the text; `title` names the keywords and the rule for a reader who points at it."""

    text: str
    kind: PieceKind = ""
    title: str = ""


@dataclass(frozen=True)
class _Mark:
    start: int
    end: int
    kind: PieceKind
    title: str


def pieces(text: str, explanation: Explanation) -> list[Piece]:
    """The whole text in order, cut where a place begins or ends."""
    marks = sorted(_marks(explanation), key=lambda mark: _RANK.index(mark.kind))
    # For each character the number of the mark that it belongs to.
    owners = [-1] * len(text)
    for number, mark in enumerate(marks):
        owners[mark.start : mark.end] = [number] * (mark.end - mark.start)
    cut = []
    for owner, places in groupby(range(len(text)), key=owners.__getitem__):
        start, *rest = places
        part = text[start : (rest[-1] if rest else start) + 1]
        cut.append(Piece(part, marks[owner].kind, marks[owner].title) if owner >= 0 else Piece(part))
    return cut


def _marks(explanation: Explanation) -> Iterable[_Mark]:
    """What is missing is of interest only if nothing was found."""
    for miss in () if explanation.terms or explanation.minus else explanation.near_misses:
        yield from (_Mark(*span, "miss", f"{miss.term}: {miss.reason}") for span in miss.spans)
    for match in explanation.terms:
        yield from (_Mark(*span, "plus", f"{match.term}: {match.rule}") for span in match.spans)
    for match in explanation.minus:
        yield from (_Mark(*span, "minus", f"minus {match.term}: {match.rule}") for span in match.spans)
