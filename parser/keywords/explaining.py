"""Explains why a text matches a campaign's keywords or not, with the places in the text."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from parser.keywords.compiling import CompiledTerm, KeywordSet
from parser.keywords.plans import (
    Atom,
    Consecutive,
    Either,
    Every,
    NearEachOther,
    Place,
    Plan,
    Present,
    Without,
    bare_key,
    prefix_key,
    within,
)
from texts.words.folding import without_diacritics
from texts.words.tokens import Token, text_tokens

# Offsets (start, end) in the text.
Span = tuple[int, int]
# The longest distance for which a near operator's failure is explained as "n words between".
_FAR = 10_000
_RULES = {
    "form": "a form of “{}”",
    "exact": "exactly “{}”",
    "prefix": "a word that begins with “{}”",
}


@dataclass(frozen=True)
class TermMatch:
    """A term that was found, where, and by which rule."""

    term: str
    spans: tuple[Span, ...]
    rule: str


@dataclass(frozen=True)
class NearMiss:
    """A plus term of which something is in the text, and why it does not match all the same."""

    term: str
    spans: tuple[Span, ...]
    reason: str


@dataclass(frozen=True)
class Explanation:
    """Whether the text is a hit. `reason` says why it is none; it is empty for a hit."""

    hit: bool
    terms: tuple[TermMatch, ...]
    minus: tuple[TermMatch, ...]
    near_misses: tuple[NearMiss, ...]

    @property
    def reason(self) -> str:
        if self.minus:
            return f"minus word {', '.join(match.term for match in self.minus)}"
        if self.hit:
            return ""
        return "; ".join(f"{miss.term}: {miss.reason}" for miss in self.near_misses) or "no keyword is in the text"


def explain(text: str, keywords: KeywordSet) -> Explanation:
    """Why the text matches the keywords or not. Agrees with `KeywordIndex.match`."""
    present = _present(text, keywords)
    found: list[TermMatch] = []
    minus: list[TermMatch] = []
    missed: list[NearMiss] = []
    for term in keywords.terms:
        if term.plan.holds(present):
            (minus if term.term.minus else found).append(_match(term, present))
        elif not term.term.minus and (miss := _miss(term, present)) is not None:
            missed.append(miss)
    return Explanation(bool(found) and not minus, tuple(found), tuple(minus), tuple(missed))


def matches_of(text: str, keywords: KeywordSet, terms: Collection[str]) -> dict[str, TermMatch]:
    """Where and why these plus terms are found in the text. Looks at no others."""
    present = _present(text, keywords)
    wanted = [each for each in keywords.terms if each.term.text in terms and not each.term.minus]
    return {each.term.text: _match(each, present) for each in wanted if each.plan.holds(present)}


def _present(text: str, keywords: KeywordSet) -> Present:
    """The places of the keywords' keys in the text."""
    present: dict[str, list[Place]] = defaultdict(list)
    for token in text_tokens(text):
        for key in _keys(token, keywords):
            present[key].append(Place(token.at, token.next, token.start, token.end))
    return present


def _keys(token: Token, keywords: KeywordSet) -> Iterator[str]:
    for spelling in (token.key, bare_key(without_diacritics(token.key))):
        if spelling in keywords.keys:
            yield spelling
        yield from (prefix_key(prefix) for prefix in keywords.prefixes if spelling.startswith(prefix))


def _match(term: CompiledTerm, present: Present) -> TermMatch:
    return TermMatch(term.term.text, _spans(term.plan, present), _rule(term.plan, present))


def _spans(plan: Plan, present: Present) -> tuple[Span, ...]:
    """The places that make the plan hold, without overlaps, in order."""
    merged: list[Span] = []
    for place in sorted(_evidence(plan, present), key=lambda place: (place.start, -place.end)):
        if merged and place.start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], place.end))
        else:
            merged.append((place.start, place.end))
    return tuple(merged)


def _evidence(plan: Plan, present: Present) -> Iterator[Place]:
    match plan:
        case Consecutive():
            yield from plan.places(present)
        case NearEachOther(parts, gaps):
            yield from plan.places(present)
            # In the other direction the chain leads to the first part.
            yield from NearEachOther(parts[::-1], gaps[::-1]).places(present)
            if len(parts) > 2:
                yield from (place for part in parts[1:-1] for place in part.places(present))
        case Either(parts):
            yield from (place for part in parts if part.holds(present) for place in _evidence(part, present))
        case Every(parts):
            yield from (place for part in parts for place in _evidence(part, present))
        case Without():
            return


def _rule(plan: Plan, present: Present) -> str:
    """In a few words, what about the text satisfies the keyword."""
    match plan:
        case Consecutive(edges, last):
            if last == 1:
                return _RULES[edges[0].atom.kind].format(edges[0].atom.text.removesuffix("*"))
            return "the words in this order"
        case NearEachOther(_, gaps):
            return f"near each other, at most {', '.join(map(str, gaps))} words between"
        case Either(parts):
            return next(_rule(part, present) for part in parts if part.holds(present))
        case Every(parts):
            return ", and ".join(_rule(part, present) for part in parts)
        case Without(part):
            return f"without {_shown(part)}"


def _miss(term: CompiledTerm, present: Present) -> NearMiss | None:
    """Why the term does not match; None if nothing of it is in the text."""
    atoms = _atoms_there(term.plan, present)
    if not atoms:
        return None
    places = [place for atom in atoms for place in atom.places(present)]
    spans = tuple(sorted({(place.start, place.end) for place in places}))
    return NearMiss(term.term.text, spans, _why_not(term.plan, present))


def _atoms_there(plan: Plan, present: Present) -> list[Atom]:
    match plan:
        case Consecutive(edges):
            return [edge.atom for edge in edges if edge.atom.keys & present.keys()]
        case Without():
            return []
    return [atom for part in plan.parts for atom in _atoms_there(part, present)]


def _why_not(plan: Plan, present: Present) -> str:
    match plan:
        case Consecutive(edges, last):
            missing = [e.atom.text for e in edges if e.end == e.start + 1 and not e.atom.keys & present.keys()]
            if missing and last > 1:
                return f"{_quoted(missing)} is missing"
            return f"{_shown(plan)} is missing" if missing else "its words do not follow each other"
        case NearEachOther(parts, gaps):
            return _why_not_near(parts, gaps, present)
        case Either(parts):
            return f"{' and '.join(map(_shown, parts))} are missing"
        case Every(parts):
            return "; ".join(_why_not(part, present) for part in parts if not part.holds(present))
        case Without(part):
            return f"minus word {_shown(part)}"


def _why_not_near(parts: Sequence[Plan], gaps: Sequence[int], present: Present) -> str:
    absent = [_shown(part) for part in parts if not part.places(present)]
    if absent:
        return f"{', '.join(absent)} is missing"
    reached = parts[0].places(present)
    for part, gap in zip(parts[1:], gaps, strict=True):
        near = within(reached, part.places(present), gap)
        if not near:
            between = _between(reached, part.places(present))
            return f"{between} words between, at most {gap}"
        reached = near
    return ""


def _between(some: Sequence[Place], others: Sequence[Place]) -> int:
    """The fewest words between a place of `some` and one of `others`."""
    low, high = 0, _FAR
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if within(some, others, middle) else (middle + 1, high)
    return low


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(f"“{word}”" for word in dict.fromkeys(words))


def _shown(plan: Plan) -> str:
    """The plan's words as the author wrote them."""
    match plan:
        case Consecutive(edges):
            return f"“{' '.join(dict.fromkeys(edge.atom.text for edge in edges))}”"
        case Without(part):
            return _shown(part)
    return ", ".join(map(_shown, plan.parts))
