"""Variative text: `{a|b}` is one of its options, options may nest, a backslash takes {, |, } or a backslash literally.

Grammar:  text = (character | escape | group)*    group = "{" text ("|" text)* "}"    escape = backslash special
A backslash before any other character is an ordinary character.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from texts.telegram_form import as_kept, length

# Groups inside groups; deeper than this is a mistake, and the parser is recursive.
DEEPEST = 20
ESCAPABLE = "{|}\\"


class SpintaxError(ValueError):
    """`reason` in words, `position` counted from 1."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"{reason} at character {position}")
        self.reason = reason
        self.position = position


@dataclass(frozen=True, slots=True)
class Group:
    options: tuple["Sequence", ...]


Sequence = tuple[str | Group, ...]


def render(text: str, rng: random.Random) -> str:
    """One variant of `text`. Each group's options are equally likely; the same state of `rng` gives the same variant.

    Raises SpintaxError.
    """
    return _render(parse(text), rng)


def validate(text: str) -> None:
    """Raises SpintaxError, with the position and what is wrong there, unless `text` can be rendered."""
    parse(text)


def count(text: str) -> int:
    """How many variants `text` has, equal ones counted as often as they can be drawn. Raises SpintaxError."""
    return _count(parse(text))


def variants(text: str) -> Iterator[str]:
    """Every variant, lazily: there may be very many (see `count`). Raises SpintaxError."""
    sequence = parse(text)
    return (_variant(sequence, number) for number in range(_count(sequence)))


def longest(text: str) -> int:
    """The length of the longest variant as Telegram counts. Raises SpintaxError."""
    return _longest(parse(text))


def may_be_blank(text: str) -> bool:
    """Whether some variant has nothing that Telegram would keep. Raises SpintaxError."""
    return _may_be_blank(parse(text))


def parse(text: str) -> Sequence:
    sequence, position = _sequence(text, 0, depth=0)
    if position < len(text):
        what = "} without a { before it" if text[position] == "}" else "| outside of {…}"
        raise SpintaxError(f"{what} (write \\{text[position]} for the character itself)", position + 1)
    return sequence


def _sequence(text: str, position: int, *, depth: int) -> tuple[Sequence, int]:
    """Reads up to the end, or up to a `|` or `}` that is not its own."""
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
        raise SpintaxError(f"groups nested deeper than {DEEPEST}", start + 1)
    options: list[Sequence] = []
    position = start
    while True:
        option, position = _sequence(text, position + 1, depth=depth)
        options.append(option)
        if position >= len(text):
            raise SpintaxError("{ is never closed", start + 1)
        if text[position] == "}":
            break
    if options == [()]:
        raise SpintaxError("{} has no options", start + 1)
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
    """The variant with this number: the groups are the digits of a number whose bases are their counts."""
    said = []
    for part in sequence:
        if isinstance(part, str):
            said.append(part)
            continue
        number, digit = divmod(number, sum(_count(option) for option in part.options))
        for option in part.options:
            if digit < _count(option):
                said.append(_variant(option, digit))
                break
            digit -= _count(option)
    return "".join(said)


def _longest(sequence: Sequence) -> int:
    return sum(
        length(part) if isinstance(part, str) else max(_longest(option) for option in part.options) for part in sequence
    )


def _may_be_blank(sequence: Sequence) -> bool:
    return all(
        not as_kept(part) if isinstance(part, str) else any(_may_be_blank(option) for option in part.options)
        for part in sequence
    )
