"""What a keyword says, as a tree. `grammar` makes it from the keyword's text."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

# "form": the word and its grammatical forms. "exact": only as written. "prefix": words that begin so.
Kind = Literal["form", "exact", "prefix"]


class KeywordError(ValueError):
    """A keyword that cannot be read, or that can never match. `column` counts from 1; 0 for the keyword as a whole."""

    def __init__(self, reason: str, column: int = 0) -> None:
        super().__init__(f"Column {column}: {reason}" if column else reason)
        self.reason = reason
        self.column = column


@dataclass(frozen=True)
class Word:
    """Characters without white space, as written. They may contain several words ("wi-fi") or none ("!")."""

    text: str
    kind: Kind
    column: int


@dataclass(frozen=True)
class Phrase:
    """Words in this order with only punctuation between them."""

    words: tuple[Word, ...]


@dataclass(frozen=True)
class Near:
    """The parts in any order; between two neighbours of this list stand at most `gaps` words."""

    parts: tuple["Node", ...]
    gaps: tuple[int, ...]


@dataclass(frozen=True)
class AllOf:
    """All parts, anywhere in the message."""

    parts: tuple["Node", ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one of the parts."""

    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Not:
    """The part is nowhere in the message."""

    part: "Node"


Node = Phrase | Near | AllOf | AnyOf | Not


def words_of(node: Node) -> Iterator[Word]:
    """All words of the tree, in order."""
    match node:
        case Phrase(words):
            yield from words
        case Not(part):
            yield from words_of(part)
        case Near(parts) | AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from words_of(part)
