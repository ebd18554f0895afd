"""How words inflect that a dictionary does not contain: like the words of the dictionary that end like them.

Most words of a language are inflected regularly, and the longest known ending decides how: "chatbots" like "robots",
"Genossenschaftswohnung" like "Wohnung".
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import islice
from typing import TypedDict

# The endings by which words are compared have up to this many letters.
_LONGEST = 6
# As many groups are enough to know the common endings, and are learned from in a few seconds.
_ENOUGH_GROUPS = 25_000
# Shorter stems belong to irregular words.
_SHORTEST_STEM = 3
# An ending decides if at least this many forms have it, and for this share of them the stem ends at the same letter.
# Then the word has the endings of at least `_COMMON` of them. All three are measured (`test_hunspell_families`):
# higher shares find less, lower ones confuse more.
_LEAST_FORMS, _LEAST_SHARE, _COMMON = 4, 0.4, 0.3
# Rarer sets of endings do not change what is common.
_MOST_WAYS = 60
# Turkish words have thousands of forms: to learn from all of them would take minutes and hundreds of megabytes.
_MOST_FORMS, _MOST_ENDINGS, _MOST_FREQUENT = 150, 120, 60_000
_BETWEEN = "|"

# How many letters of a form belong to its ending, and the number of the set of endings that its stem has.
Rule = tuple[int, int]


class Learned(TypedDict):
    """`ways`: sets of endings that follow a stem, with a | between them. `rules`: by the last letters of a word."""

    ways: list[str]
    rules: dict[str, Rule]


class Endings:
    """Inflects words by their last letters."""

    def __init__(self, learned: Learned) -> None:
        self._ways = learned["ways"]
        self._rules = learned["rules"]

    def forms(self, word: str) -> frozenset[str]:
        """The likely forms of a folded word, itself included; none if no known ending decides."""
        for length in range(min(_LONGEST, len(word) - 1), 0, -1):
            rule = self._rules.get(word[-length:])
            if rule is not None:
                stem = word[: len(word) - rule[0]]
                return self._forms(stem, rule[1]) if len(stem) > 1 else frozenset()
        return frozenset()

    def _forms(self, stem: str, way: int) -> frozenset[str]:
        return frozenset(stem + ending for ending in self._ways[way].split(_BETWEEN))


def learn(groups: Iterable[Iterable[str]], count: int) -> Learned:
    """The endings of `count` groups of forms; each group contains the forms of one word."""
    ways: dict[tuple[str, ...], int] = {}
    found: defaultdict[str, Counter[Rule]] = defaultdict(Counter)
    for group in islice(groups, 0, None, count // _ENOUGH_GROUPS + 1):
        forms = list(group)
        stem = _common_letters(min(forms), max(forms))
        if stem < _SHORTEST_STEM or len(forms) > _MOST_FORMS:
            continue
        way = ways.setdefault(tuple(sorted(form[stem:] for form in forms)), len(ways))
        for form in forms:
            rule = (len(form) - stem, way)
            for length in range(1, min(_LONGEST, len(form) - 1) + 1):
                found[form[-length:]][rule] += 1
    return _decided(found, list(ways))


def _common_letters(one: str, other: str) -> int:
    """With how many equal letters both words begin."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _decided(found: dict[str, Counter[Rule]], ways: list[tuple[str, ...]]) -> Learned:
    """The rules of the endings that decide, without those that a shorter ending implies."""
    rules: dict[str, Rule] = {}
    kept: dict[tuple[str, ...], int] = {}
    for ending in sorted(_frequent(found), key=len):
        total = found[ending].total()
        lengths: Counter[int] = Counter()
        for (length, _), times in found[ending].items():
            lengths[length] += times
        [(length, times)] = lengths.most_common(1)
        if times < _LEAST_SHARE * total:
            continue
        common = _common(
            {way: times for (its, way), times in found[ending].most_common(_MOST_WAYS) if its == length}, ways
        )
        rule = (length, kept.setdefault(common, len(kept)))
        shorter = next((rules[ending[at:]] for at in range(1, len(ending)) if ending[at:] in rules), None)
        if rule != shorter:
            rules[ending] = rule
    return {"ways": list(map(_BETWEEN.join, kept)), "rules": rules}


def _frequent(found: dict[str, Counter[Rule]]) -> list[str]:
    totals = {ending: times.total() for ending, times in found.items()}
    often = [ending for ending in found if totals[ending] >= _LEAST_FORMS]
    return sorted(often, key=lambda ending: (-totals[ending], ending))[:_MOST_FREQUENT]


def _common(times: dict[int, int], ways: list[tuple[str, ...]]) -> tuple[str, ...]:
    """The endings that are common among words that inflect in these ways so many times."""
    weights: Counter[str] = Counter()
    for way, weight in times.items():
        weights.update(dict.fromkeys(ways[way], weight))
    least = _COMMON * sum(times.values())
    return tuple(sorted(ending for ending, weight in weights.most_common(_MOST_ENDINGS) if weight >= least))
