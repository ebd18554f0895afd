"""Turns a campaign's keywords into a `KeywordSet`, which can be matched."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from parser.keywords.grammar import parse
from parser.keywords.plans import (
    Atom,
    Consecutive,
    Edge,
    Either,
    Every,
    NearEachOther,
    Plan,
    Without,
    atoms_of,
    bare_key,
    is_single,
    keys_of,
    needs,
    prefix_key,
    prefix_of,
)
from parser.keywords.syntax import AllOf, AnyOf, KeywordError, Near, Node, Not, Phrase, Word
from texts.words.folding import fold, without_diacritics
from texts.words.forms import forms_of
from texts.words.languages import LANGUAGES, TableUnavailable
from texts.words.tokens import Token, text_tokens

log = logging.getLogger(__name__)

# The shortest text before a *: "a*" would match every tenth word.
SHORTEST_PREFIX = 2
_UNITS = ("%", "‰", "°")
# Words of a phrase. In a message of repeated words each of them costs time.
MOST_WORDS = 30


@dataclass(frozen=True)
class Term:
    """A keyword as its author wrote it. If `minus`, a message in which it is found never matches."""

    text: str
    minus: bool = False


@dataclass(frozen=True)
class CompiledTerm:
    """A term with its plan.

    A message for which the plan holds has at least one key of each set in `needs`; the rarest comes first. `single`:
    the plan holds as soon as one of the keys in `needs` is present.
    """

    term: Term
    plan: Plan
    needs: tuple[frozenset[str], ...]
    single: bool


class Entry(NamedTuple):
    """What the presence of a key means for one campaign.

    The plus terms in `plus` hold, a minus term holds (`minus`), and the terms in `candidates` may hold.
    """

    plus: tuple[str, ...] = ()
    minus: bool = False
    candidates: tuple[CompiledTerm, ...] = ()


@dataclass(frozen=True)
class KeywordSet:
    """A campaign's keywords, ready to be matched. Made by `compile_terms`, never changed afterwards.

    `keys` are those of all words and signs, `entries` those of the rarest of each term. `bare`: they have no
    diacritics.
    """

    terms: tuple[CompiledTerm, ...]
    keys: frozenset[str] = field(repr=False)
    entries: dict[str, Entry] = field(repr=False)
    prefixes: tuple[str, ...]
    bare: bool = False

    def in_order(self, texts: Collection[str]) -> tuple[str, ...]:
        """The texts of plus terms in the campaign's order, once each."""
        wanted = set(texts)
        plus = (term.term.text for term in self.terms if not term.term.minus)
        return tuple(dict.fromkeys(text for text in plus if text in wanted))


def compile_terms(
    terms: Iterable[Term], languages: Sequence[str] = (), *, ignore_diacritics: bool = False
) -> KeywordSet:
    """The terms in the given languages (codes; none: each word's languages are detected).

    Raises KeywordError for a term that cannot be read or can never match.
    """
    compiler = _Compiler(lambda word: forms_of(word, languages), ignore_diacritics)
    return _keyword_set([(term, compiler.plan_of(term.text)) for term in terms], bare=ignore_diacritics)


def check_term(text: str) -> None:
    """Raises KeywordError if the keyword cannot be read or can never match."""
    _Compiler(lambda word: [word], ignore_diacritics=False).plan_of(text)


def _contradicts(plan: Plan) -> bool:
    """Whether the plan requires keys of which each is excluded, so that no message can match."""
    match plan:
        case Every(parts):
            excluded = frozenset[str]().union(
                *(keys_of(part.part) for part in parts if isinstance(part, Without) and is_single(part.part))
            )
            required = needs(Every(tuple(part for part in parts if not isinstance(part, Without))), Counter())
            return any(need.keys <= excluded for need in required) or any(map(_contradicts, parts))
        case Either(parts):
            return all(map(_contradicts, parts))
    return False


def compile_known_terms(
    terms: Iterable[Term], languages: Sequence[str] = (), *, ignore_diacritics: bool = False
) -> KeywordSet:
    """Like `compile_terms`, but leaves out what cannot be used: the campaign's other keywords must still work.

    A stored keyword can be unreadable, or a language unknown, if another program wrote it. Without a language's
    dictionary, words are found as they are written.
    """
    compiler = _Compiler(_Forms([code for code in languages if code in LANGUAGES]), ignore_diacritics)
    plans = []
    for term in terms:
        try:
            plans.append((term, compiler.plan_of(term.text)))
        except KeywordError:
            continue
    return _keyword_set(plans, bare=ignore_diacritics)


class _Forms:
    """`forms_of` in the given languages, which survives a missing dictionary."""

    def __init__(self, languages: Sequence[str]) -> None:
        self._languages = languages
        self._available = True

    def __call__(self, word: str) -> Iterable[str]:
        if self._available:
            try:
                return forms_of(word, self._languages)
            except TableUnavailable as problem:
                # Do not try again for each word: every attempt takes seconds.
                self._available = False
                log.error("keywords are compiled without grammatical forms: %s", problem)
        return [word]


def _keyword_set(plans: Sequence[tuple[Term, Plan]], *, bare: bool) -> KeywordSet:
    usage = Counter(atom for _, plan in plans for atom in set(atoms_of(plan)))
    compiled = []
    for term, plan in plans:
        needed = sorted(needs(plan, usage), key=lambda need: need.weight)
        compiled.append(CompiledTerm(term, plan, tuple(need.keys for need in needed), is_single(plan)))
    keys = frozenset().union(*(keys_of(plan) for _, plan in plans))
    prefixes = tuple(prefix for key in keys if (prefix := prefix_of(key)))
    return KeywordSet(tuple(compiled), keys, _entries(compiled), prefixes, bare)


def _entries(compiled: Sequence[CompiledTerm]) -> dict[str, Entry]:
    plus: dict[str, list[str]] = {}
    minus: set[str] = set()
    candidates: dict[str, list[CompiledTerm]] = {}
    for term in compiled:
        for key in term.needs[0]:
            if not term.single:
                candidates.setdefault(key, []).append(term)
            elif term.term.minus:
                minus.add(key)
            else:
                plus.setdefault(key, []).append(term.term.text)
    return {
        key: Entry(tuple(plus.get(key, ())), key in minus, tuple(candidates.get(key, ())))
        for key in plus.keys() | minus | candidates.keys()
    }


def _with_space(token: Token) -> Iterator[Token]:
    """The token, and for `50%` also the number and the sign of "50 %"."""
    yield token
    if token.key[-1] in _UNITS and len(token.key) > 1:
        yield token._replace(key=token.key[:-1], end=token.end - 1)
        yield token._replace(key=token.key[-1], start=token.end - 1)


def _whole(meant: Sequence[Token]) -> list[str]:
    """The keys of the tokens, or only that of the token that spans all of them: wifi for `wi-fi`."""
    last = max((token.next for token in meant), default=0)
    spanning = [token.key for token in meant if token.at == 0 and token.next == last]
    return spanning[:1] or [token.key for token in meant]


def _joined_units(words: Sequence[Word]) -> Iterator[Word]:
    """The words, with a number and a sign after it as one: `50 %` means the same as `50%`."""
    left = list(words)
    while left:
        word = left.pop(0)
        if left and word.text[-1:].isdigit() and left[0].text in _UNITS and left[0].kind == word.kind == "form":
            word = replace(word, text=word.text + left.pop(0).text)
        yield word


class _Compiler:
    """Turns syntax into plans. Equal words get the same atom."""

    def __init__(self, forms: Callable[[str], Iterable[str]], ignore_diacritics: bool) -> None:
        self._forms = forms
        self._ignore_diacritics = ignore_diacritics
        self._atoms: dict[tuple[str, str], Atom] = {}

    def plan_of(self, text: str) -> Plan:
        """The plan of a keyword. Raises KeywordError."""
        plan = self.plan(parse(text))
        if _contradicts(plan):
            raise KeywordError("never matches: it excludes what it looks for")
        return plan

    def plan(self, node: Node) -> Plan:
        match node:
            case Phrase(words):
                return self._consecutive(words)
            case Not(part):
                return Without(self.plan(part))
            case Near(parts, gaps):
                return NearEachOther(tuple(map(self._place, parts)), gaps)
            case AnyOf(parts):
                return Either(tuple(map(self.plan, parts)))
            case AllOf(parts):
                return Every(tuple(map(self.plan, parts)))

    def _place(self, node: Node) -> Consecutive | Either | NearEachOther:
        plan = self.plan(node)
        assert isinstance(plan, Consecutive | Either | NearEachOther), "the grammar allows no other parts"
        return plan

    def _consecutive(self, words: Sequence[Word]) -> Consecutive:
        edges: list[Edge] = []
        node = 0
        for word in _joined_units(words):
            more, length = self._edges(word)
            edges += [Edge(start + node, end + node, atom) for start, end, atom in more]
            node += length
        if not edges:
            text = " ".join(word.text for word in words)
            raise KeywordError(f"“{text}” contains no word and no sign to look for", words[0].column)
        if node > MOST_WORDS:
            raise KeywordError(f"a phrase can have at most {MOST_WORDS} words", words[0].column)
        return Consecutive(tuple(sorted(edges, key=lambda edge: edge[:2])), node)

    def _edges(self, word: Word) -> tuple[list[Edge], int]:
        """The tokens of a word as edges from 0 to the returned number of nodes."""
        meant = [part for token in text_tokens(word.text) if token.meant for part in _with_space(token)]
        if any("/" in word.text[token.start : token.end] and "/" not in token.key for token in meant):
            reason = f"a link finds all links to its host: write only the host, {meant[0].key}"
            raise KeywordError(reason, word.column)
        if word.kind == "prefix":
            return self._prefix(word, _whole(meant))
        begins = sorted({token.start for token in meant})
        # Where a token ends, the next one begins.
        node_after = {token.end: sum(begin < token.end for begin in begins) for token in meant}
        places: dict[tuple[int, int], set[str]] = {}
        for token in meant:
            places.setdefault((begins.index(token.start), node_after[token.end]), set()).add(token.key)
        edges = [Edge(*place, self._atom(frozenset(keys), word)) for place, keys in places.items()]
        return edges, len(begins)

    def _prefix(self, word: Word, keys: Sequence[str]) -> tuple[list[Edge], int]:
        if len(keys) != 1 or len(keys[0]) < SHORTEST_PREFIX:
            reason = f"before a * there must be one word of at least {SHORTEST_PREFIX} characters"
            raise KeywordError(reason, word.column)
        # Of "5ком*" all letters have look-alikes, of "5комнатная" they have not.
        spellings = {keys[0], *([fold(word.text)] if keys[0][0].isdigit() else [])}
        if self._ignore_diacritics:
            spellings = {bare_key(without_diacritics(spelling)) for spelling in spellings}
        made = frozenset(map(prefix_key, spellings))
        return [Edge(0, 1, Atom(made, f"{word.text}*", "prefix"))], 1

    def _atom(self, keys: frozenset[str], word: Word) -> Atom:
        spelled = " ".join(sorted(keys))
        known = self._atoms.get((spelled, word.kind))
        if known is None:
            known = Atom(self._all_keys(keys, word), word.text, word.kind)
            self._atoms[spelled, word.kind] = known
        return known

    def _all_keys(self, keys: Iterable[str], word: Word) -> frozenset[str]:
        if word.kind == "form":
            keys = {form for key in keys for form in self._forms_of(key)}
        if self._ignore_diacritics:
            return frozenset(bare_key(without_diacritics(key)) for key in keys)
        return frozenset(keys)

    def _forms_of(self, key: str) -> Iterable[str]:
        """The forms of a token. Those of a hashtag are the hashtags of the word's forms."""
        sign = key[0] if key[0] in "#." and len(key) > 1 else ""
        if not key.removeprefix(sign).replace("'", "").isalpha():
            return [key]
        return {key, *(sign + form for form in self._forms(key.removeprefix(sign)))}
