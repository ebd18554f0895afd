"""Variative text: `{a|b}` stands for one of its options, and options may contain groups. After a backslash, the
characters {, |, } and the backslash itself have no special meaning.

Grammar:  text = (character | escape | group)*    group = "{" text ("|" text)* "}"    escape = backslash special
A backslash before any other character is an ordinary character.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from texts.telegram_form import as_kept, length

# The most levels of groups inside groups: the parser is recursive, and deeper nesting is a mistake.
DEEPEST = 20
ESCAPABLE = "{|}\\"


class SpintaxError(ValueError):
    """The text is no spintax. The message is a clause without a full stop; `position` is counted from 1."""

    def __init__(self, where: str, problem: str, position: int) -> None:
        super().__init__(f"the {where} at character {position} {problem}")
        self.position = position


@dataclass(frozen=True, slots=True)
class Group:
    options: tuple["Sequence", ...]


Sequence = tuple[str | Group, ...]


def render(text: str, rng: random.Random) -> str:
    """A variant of `text`. A group's options are equally likely; the same state of `rng` gives the same variant.

    Raises SpintaxError.
    """
    return _render(parse(text), rng)


def validate(text: str) -> None:
    """Raises SpintaxError if `text` cannot be rendered."""
    parse(text)


def count(text: str) -> int:
    """The number of variants of `text`. Equal variants from different options count separately. Raises SpintaxError."""
    return _count(parse(text))


def variants(text: str) -> Iterator[str]:
    """An iterator over all variants, of which there may be very many (see `count`). Raises SpintaxError."""
    sequence = parse(text)
    return (_variant(sequence, number) for number in range(_count(sequence)))


def longest(text: str) -> int:
    """The length of the longest variant in UTF-16 units, as Telegram counts. Raises SpintaxError."""
    return _longest(parse(text))


def may_be_blank(text: str) -> bool:
    """Whether a variant consists only of characters that Telegram removes. Raises SpintaxError."""
    return _may_be_blank(parse(text))


def parse(text: str) -> Sequence:
    sequence, position = _sequence(text, 0, depth=0)
    if position < len(text):
        character = text[position]
        problem = "has no opening {" if character == "}" else "is outside of {…}"
        raise SpintaxError(character, f"{problem} (write \\{character} for the character itself)", position + 1)
    return sequence


def _sequence(text: str, position: int, *, depth: int) -> tuple[Sequence, int]:
    """Parse up to the end of the text, or up to a `|` or `}` outside of the groups that begin here."""
    parts: list[str | Group] = []
    literal: list[str] = []
    while position < len(text) and text[position] not in "|}":
        character = text[position]
        if character == "{":
            if literal:
                parts.append("".join(literal))
                literal = []
            group, position = _group(text, position, depth=depth + 1)
            parts.append(group)
            continue
        if character == "\\" and position + 1 < len(text) and text[position + 1] in ESCAPABLE:
            position += 1
            character = text[position]
        literal.append(character)
        position += 1
    if literal:
        parts.append("".join(literal))
    return tuple(parts), position


def _group(text: str, start: int, *, depth: int) -> tuple[Group, int]:
    if depth > DEEPEST:
        raise SpintaxError("{", f"is nested deeper than {DEEPEST} levels", start + 1)
    options: list[Sequence] = []
    position = start
    while True:
        option, position = _sequence(text, position + 1, depth=depth)
        options.append(option)
        if position >= len(text):
            raise SpintaxError("{", "has no closing }", start + 1)
        if text[position] == "}":
            break
    if options == [()]:
        raise SpintaxError("{}", "has no options", start + 1)
    return Group(tuple(options)), position + 1


def _render(sequence: Sequence, rng: random.Random) -> str:
    return "".join(part if isinstance(part, str) else _render(rng.choice(part.options), rng) for part in sequence)


def _count(sequence: Sequence) -> int:
    total = 1
    for part in sequence:
        if isinstance(part, Group):
            total *= sum(_count(option) for option in part.options)
    return total


def _variant(sequence: Sequence, number: int) -> str:
    """The variant with this number: each group is a digit, and the group's count is the base of the digit."""
    parts = []
    for part in sequence:
        if isinstance(part, str):
            parts.append(part)
            continue
        number, digit = divmod(number, sum(_count(option) for option in part.options))
        for option in part.options:
            if digit < _count(option):
                parts.append(_variant(option, digit))
                break
            digit -= _count(option)
    return "".join(parts)


def _longest(sequence: Sequence) -> int:
    return sum(
        length(part) if isinstance(part, str) else max(_longest(option) for option in part.options) for part in sequence
    )


def _may_be_blank(sequence: Sequence) -> bool:
    return all(
        not as_kept(part) if isinstance(part, str) else any(_may_be_blank(option) for option in part.options)
        for part in sequence
    )
