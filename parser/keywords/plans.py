"""A keyword as it is evaluated: which tokens it looks for, and how they must stand to each other.

The keys of an atom are tokens' keys (`texts.words.tokens`). Two kinds of keys stand for many tokens: `prefix_key` for
all that begin so, `bare_key` for all that are equal without diacritics.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from parser.keywords.syntax import Kind

_PREFIX, _BARE = "\x00", "\x01"


def prefix_key(prefix: str) -> str:
    """The key that stands for all tokens that begin with the prefix."""
    return _PREFIX + prefix


def prefix_of(key: str) -> str:
    """The prefix of a `prefix_key`; "" for another key."""
    return key[1:] if key.startswith(_PREFIX) else ""


def bare_key(key: str) -> str:
    """The key that stands for all tokens that are `key` without their diacritics."""
    return _BARE + key


class Place(NamedTuple):
    """Where something was found: positions from `at` until before `next`, offsets from `start` until before `end`."""

    at: int
    next: int
    start: int
    end: int


# The places of the keys that are present in a message.
Present = Mapping[str, Sequence[Place]]


@dataclass(frozen=True, slots=True)
class Atom:
    """One word or sign of a keyword: any token with one of the keys. `text` is the word as written."""

    keys: frozenset[str]
    text: str
    kind: Kind

    def places(self, present: Present) -> list[Place]:
        keys = self.keys
        if len(keys) < len(present):
            return [place for key in keys if key in present for place in present[key]]
        return [place for key, places in present.items() if key in keys for place in places]


class Edge(NamedTuple):
    """An atom that leads from one node of a sequence to a later one."""

    start: int
    end: int
    atom: Atom


@dataclass(frozen=True)
class Consecutive:
    """Atoms that follow each other with only punctuation between them: the paths from node 0 to node `last`.

    `wi-fi роутер` has the edges wi 0→1, wifi 0→2, fi 1→2 and роутер 2→3. The edges are sorted.
    """

    edges: tuple[Edge, ...]
    last: int

    def holds(self, present: Present) -> bool:
        if self.last == 1:
            return not all(edge.atom.keys.isdisjoint(present) for edge in self.edges)
        if len(self.edges) == self.last and any(edge.atom.keys.isdisjoint(present) for edge in self.edges):
            return False
        return bool(self.places(present))

    def places(self, present: Present) -> list[Place]:
        """Where the whole sequence stands. The work grows with the places of its atoms."""
        if self.last == 1:
            return sorted(place for edge in self.edges for place in edge.atom.places(present))
        # For each node but the first, the ways to it: next position → places of the sequence until there.
        ways: list[dict[int, set[Place]]] = [defaultdict(set) for _ in range(self.last + 1)]
        for start, end, atom in self.edges:
            before = ways[start]
            if start and not before:
                continue
            for place in atom.places(present):
                if not start:
                    ways[end][place.next].add(place)
                    continue
                for way in before.get(place.at, ()):
                    # Offsets order signs, which take no position. Words of one character, such as ½, have equal ones.
                    if place.next > place.at or way.end <= place.start:
                        ways[end][place.next].add(Place(way.at, place.next, way.start, place.end))
        return sorted(place for places in ways[self.last].values() for place in places)


@dataclass(frozen=True)
class NearEachOther:
    """Parts in any order; between part n and part n + 1 stand at most `gaps[n]` words."""

    parts: tuple["Consecutive | Either | NearEachOther", ...]
    gaps: tuple[int, ...]

    def holds(self, present: Present) -> bool:
        return bool(self.places(present))

    def places(self, present: Present) -> list[Place]:
        """Where the last part stands near enough to the parts before it."""
        reached = self.parts[0].places(present)
        for part, gap in zip(self.parts[1:], self.gaps, strict=True):
            if not reached:
                return []
            reached = within(reached, part.places(present), gap)
        return reached


def within(reached: Sequence[Place], places: Iterable[Place], gap: int) -> list[Place]:
    """Those of the places with one of `reached` (sorted) before or after them, and at most `gap` words between.

    Takes n log n steps, however many of them are near each other.
    """
    begins = sorted(place.at for place in reached)
    ends = sorted(place.next for place in reached)
    # A sign takes no position, so that it is near itself.
    signs = {place for place in reached if place.at == place.next}

    def is_near(place: Place) -> bool:
        itself = place in signs
        before = bisect_right(ends, place.at) - bisect_left(ends, place.at - gap)
        after = bisect_right(begins, place.next + gap) - bisect_left(begins, place.next)
        return before > itself or after > itself

    return [place for place in places if is_near(place)]


@dataclass(frozen=True)
class Either:
    """At least one of the parts."""

    parts: tuple["Plan", ...]

    def holds(self, present: Present) -> bool:
        return any(part.holds(present) for part in self.parts)

    def places(self, present: Present) -> list[Place]:
        return sorted({place for part in self.parts for place in part.places(present)})


@dataclass(frozen=True)
class Every:
    """All parts, anywhere in the message."""

    parts: tuple["Plan", ...]

    def holds(self, present: Present) -> bool:
        return all(part.holds(present) for part in self.parts)

    def places(self, present: Present) -> list[Place]:
        return sorted({place for part in self.parts for place in part.places(present)})


@dataclass(frozen=True)
class Without:
    """The part is nowhere in the message."""

    part: "Plan"

    def holds(self, present: Present) -> bool:
        return not self.part.holds(present)

    def places(self, present: Present) -> list[Place]:
        return []


Plan = Consecutive | NearEachOther | Either | Every | Without


def atoms_of(plan: Plan) -> list[Atom]:
    """All atoms of the plan that a message may contain, without those that it must not contain."""
    match plan:
        case Consecutive(edges):
            return [edge.atom for edge in edges]
        case Without():
            return []
        case _:
            return [atom for part in plan.parts for atom in atoms_of(part)]


def keys_of(plan: Plan) -> frozenset[str]:
    """The keys of all atoms, also of those that a message must not contain."""
    match plan:
        case Consecutive(edges):
            return frozenset().union(*(edge.atom.keys for edge in edges))
        case Without(part):
            return keys_of(part)
        case _:
            return frozenset().union(*map(keys_of, plan.parts))


def is_single(plan: Plan) -> bool:
    """Whether the plan holds as soon as one of its keys is present."""
    match plan:
        case Consecutive(_, last):
            return last == 1
        case Either(parts):
            return all(map(is_single, parts))
    return False


class Need(NamedTuple):
    """Keys of which at least one is in every message for which a plan holds. The lower `weight`, the rarer they are."""

    weight: float
    keys: frozenset[str]


def needs(plan: Plan, usage: Mapping[Atom, int]) -> list[Need]:
    """What every message for which the plan holds has. Empty for a plan that only says what must be absent.

    `usage` counts in how many plans an atom occurs. A plan is looked up by its rarest need: then a word with which
    thousands of phrases begin does not make all of them candidates.
    """
    match plan:
        case Without():
            return []
        case Consecutive(edges, last):
            cuts = ([edge.atom for edge in edges if edge.start <= node < edge.end] for node in range(last))
            return [_need(atoms, usage) for atoms in cuts]
        case Either(parts):
            rarest = [min(needs(part, usage), key=lambda need: need.weight) for part in parts]
            return [Need(sum(need.weight for need in rarest), frozenset().union(*(need.keys for need in rarest)))]
    return [need for part in plan.parts for need in needs(part, usage)]


def _need(atoms: Sequence[Atom], usage: Mapping[Atom, int]) -> Need:
    # Of equally rare atoms, the longest word is probably the rarest in messages.
    longest = max(len(atom.text) for atom in atoms)
    weight = sum(usage[atom] for atom in atoms) - min(longest, 50) / 100
    return Need(weight, frozenset().union(*(atom.keys for atom in atoms)))
