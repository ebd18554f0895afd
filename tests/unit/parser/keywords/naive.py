"""What a keyword means, evaluated in the plainest way: no index, no anchors, every combination is tried."""

from collections.abc import Iterable, Sequence
from itertools import product

from parser.keywords.compiling import Term
from parser.keywords.grammar import parse
from parser.keywords.syntax import AllOf, AnyOf, Near, Node, Not, Phrase, Word
from texts.words.forms import forms_of
from texts.words.tokens import Token, text_tokens


def matching(text: str, terms: Sequence[Term], languages: Sequence[str]) -> tuple[str, ...]:
    """The texts of the plus terms that match; none if a minus term matches."""
    found = text_tokens(text)
    holding = [term for term in terms if holds(parse(term.text), found, languages)]
    return () if any(term.minus for term in holding) else tuple(term.text for term in holding)


def holds(node: Node, found: Sequence[Token], languages: Sequence[str]) -> bool:
    match node:
        case AllOf(parts):
            return all(holds(part, found, languages) for part in parts)
        case AnyOf(parts):
            return any(holds(part, found, languages) for part in parts)
        case Not(part):
            return not holds(part, found, languages)
    return bool(places(node, found, languages))


def places(node: Node, found: Sequence[Token], languages: Sequence[str]) -> set[tuple[int, int, int]]:
    """The first position, the position after it and the offset of each place where the node is found."""
    match node:
        case Phrase(words):
            return {
                (path[0].at, path[-1].next, path[0].start)
                for path in _paths([alternatives(word) for word in words], found, languages)
            }
        case AnyOf(parts):
            return set().union(*(places(part, found, languages) for part in parts))
        case Near(parts, gaps):
            every = [sorted(places(part, found, languages)) for part in parts]
            chains = (chain for chain in product(*every) if _is_chain(chain, gaps))
            return {chain[-1] for chain in chains}
    raise AssertionError(node)


def _is_chain(chain: Sequence[tuple[int, int, int]], gaps: Sequence[int]) -> bool:
    return all(
        one != other and (0 <= other[0] - one[1] <= gap or 0 <= one[0] - other[1] <= gap)
        for one, other, gap in zip(chain, chain[1:], gaps, strict=False)
    )


Wanted = tuple[str, str]


def alternatives(word: Word) -> list[list[Wanted]]:
    """The ways to write a word, each as a list of wanted tokens: (key, kind)."""
    meant = [token for token in text_tokens(word.text) if token.meant]
    if len(meant) == 1 and meant[0].key.endswith("%"):
        return [[(meant[0].key, word.kind)], [(meant[0].key[:-1], word.kind), ("%", word.kind)]]
    ways: list[list[Wanted]] = []

    def walk(way: list[Wanted], offset: int) -> None:
        following = [token for token in meant if token.start >= offset]
        if not following:
            ways.append(way)
            return
        first = min(token.start for token in following)
        for token in following:
            if token.start == first:
                walk([*way, (token.key, word.kind)], token.end)

    walk([], 0)
    return ways


def _paths(
    words: Sequence[list[list[Wanted]]], found: Sequence[Token], languages: Sequence[str]
) -> Iterable[list[Token]]:
    for ways in product(*words):
        wanted = [one for way in ways for one in way]
        yield from _walk(wanted, found, languages, [])


def _walk(
    wanted: Sequence[Wanted], found: Sequence[Token], languages: Sequence[str], path: list[Token]
) -> Iterable[list[Token]]:
    if not wanted:
        if path:
            yield path
        return
    for token in found:
        follows = not path or (token.at == path[-1].next and token.start >= path[-1].end)
        if follows and _is_wanted(token.key, *wanted[0], languages):
            yield from _walk(wanted[1:], found, languages, [*path, token])


def _is_wanted(key: str, wanted: str, kind: str, languages: Sequence[str]) -> bool:
    if kind == "prefix":
        return key.startswith(wanted)
    if key == wanted or kind == "exact":
        return key == wanted
    sign = wanted[0] if wanted[0] in "#." else ""
    bare = wanted.removeprefix(sign)
    return bare.isalpha() and key in {sign + form for form in forms_of(bare, languages)}
