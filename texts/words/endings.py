"""How words inflect that a dictionary does not contain: like the words of the dictionary that end like them.

Most words of a language are inflected regularly, and the longest known ending decides how: "chatbots" like "robots",
"Genossenschaftswohnung" like "Wohnung".
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import islice
from typing import TypedDict

# The endings by which words are compared have up to this many letters.
LONGEST = 6
# As many groups are enough to know the common endings, and are learned from in a second.
_ENOUGH_GROUPS = 25_000
# Shorter stems belong to irregular words.
_SHORTEST_STEM = 3
# An ending decides if at least this many forms have it, and at least this share of them inflect in the same way.
_LEAST_FORMS = 4
_LEAST_SHARE = 0.5


class Learned(TypedDict):
    """`ways`: the sets of endings that follow a stem. `rules`: by a word's end, how many letters of the word are not
    stem, and the number of its way."""

    ways: list[list[str]]
    rules: dict[str, tuple[int, int]]


class Endings:
    """Inflects words by their ends."""

    def __init__(self, learned: Learned) -> None:
        self._ways = [tuple(way) for way in learned["ways"]]
        self._rules = learned["rules"]

    def forms(self, word: str) -> frozenset[str]:
        """The likely forms of a folded word, itself included; none if no known ending decides."""
        for length in range(min(LONGEST, len(word) - 1), 0, -1):
            rule = self._rules.get(word[-length:])
            if rule is not None:
                stem = word[: len(word) - rule[0]]
                return frozenset(stem + ending for ending in self._ways[rule[1]]) if len(stem) > 1 else frozenset()
        return frozenset()


def learn(groups: Iterable[Iterable[str]], count: int) -> Learned:
    """The endings of `count` groups of forms; each group contains the forms of one word."""
    ways: dict[tuple[str, ...], int] = {}
    found: defaultdict[str, Counter[tuple[int, int]]] = defaultdict(Counter)
    for group in islice(groups, 0, None, count // _ENOUGH_GROUPS + 1):
        forms = list(group)
        stem = _common_letters(min(forms), max(forms))
        if stem < _SHORTEST_STEM:
            continue
        way = ways.setdefault(tuple(sorted(form[stem:] for form in forms)), len(ways))
        for form in forms:
            rule = (len(form) - stem, way)
            for length in range(1, min(LONGEST, len(form) - 1) + 1):
                found[form[-length:]][rule] += 1
    return _kept(list(ways), _decided(found))


def _common_letters(one: str, other: str) -> int:
    """With how many equal letters both words begin."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _decided(found: dict[str, Counter[tuple[int, int]]]) -> dict[str, tuple[int, int]]:
    """The rules of endings after which most words inflect alike, without those that a shorter ending implies."""
    rules: dict[str, tuple[int, int]] = {}
    for ending in sorted(found, key=len):
        [(rule, times)] = found[ending].most_common(1)
        total = found[ending].total()
        if total < _LEAST_FORMS or times < _LEAST_SHARE * total:
            continue
        shorter = next((rules[ending[at:]] for at in range(1, len(ending)) if ending[at:] in rules), None)
        if rule != shorter:
            rules[ending] = rule
    return rules


def _kept(ways: list[tuple[str, ...]], rules: dict[str, tuple[int, int]]) -> Learned:
    used = {number: at for at, number in enumerate(sorted({way for _, way in rules.values()}))}
    return {
        "ways": [list(ways[number]) for number in used],
        "rules": {ending: (strip, used[way]) for ending, (strip, way) in rules.items()},
    }
