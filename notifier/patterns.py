"""Topic patterns over routing keys, as AMQP has them: `*` is one word, `#` any number of words, none included. Pure."""

from functools import cache


@cache
def matches(pattern: str, routing_key: str) -> bool:
    """`*.crash` fits `parser.crash`, `#` fits everything, `bots.#` fits `bots` and `bots.banned`."""
    return _matches(tuple(pattern.split(".")), tuple(routing_key.split(".")))


def _matches(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    if not pattern:
        return not words
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return any(_matches(rest, words[at:]) for at in range(len(words) + 1))
    return bool(words) and first in ("*", words[0]) and _matches(rest, words[1:])
