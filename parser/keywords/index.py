"""Matches messages with the keywords of many campaigns in one pass.

A keyword is stored under all forms of its words, so a message's words are only looked up: nothing in a message is
inflected or reduced to a stem. What a part of a message between white space contributes is remembered, because most
parts occur again. Of the keywords with several words, only those whose rarest word is in the message are evaluated.
"""

import re
import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from parser.keywords.compiling import CompiledTerm, Entry, KeywordSet
from parser.keywords.plans import Place, bare_key, prefix_key
from texts.words.folding import fold, without_diacritics
from texts.words.tokens import tokens

# Parts of messages that are remembered, and the longest of them: longer ones are links, which hardly occur again.
_MOST_PARTS, _LONGEST_PART = 50_000, 64
# Punctuation around words, without any meaning in tokens.
_EDGES = '!?:;"«»“”„…()[]{}<>|*,'
_EDGES_AND_DOT = _EDGES + "."
# The beginning of a word such as .net, whose dot belongs to it.
_DOT_WORD = re.compile(r"\.(?<!\w\.)(?=\w)")
# Letters that folding leaves as they are. A part of such letters of one alphabet is a token, as it is written.
_LATIN, _CYRILLIC = "a-zà-öø-ÿāăąćčďđēęěğģīįķļľłńņňōőœŕřśşšţťūůűųźżž", "а-юяіїєґў"
_OTHER_LETTER = re.compile(rf"[^\W\d_{_LATIN}{_CYRILLIC}]")
_A_LATIN = re.compile(f"[{_LATIN}]")
_MIXED = re.compile(f"[{_LATIN}][{_CYRILLIC}]|[{_CYRILLIC}][{_LATIN}]")
# Prefixes are looked up by so many first characters at most.
_HEAD = 4

# A campaign: any hashable value. An int is compared fastest.
Key = TypeVar("Key", bound=Hashable)


class _Part(NamedTuple):
    """The keys in a part of a message, each key with its place, and how many positions the part has."""

    keys: frozenset[str]
    places: tuple[tuple[str, Place], ...]
    words: int


class KeywordIndex(Generic[Key]):
    """The keyword sets of campaigns. Threads may use it at the same time: a match sees each set whole or not at all."""

    def __init__(self) -> None:
        self._sets: dict[Key, KeywordSet] = {}
        self._entries: dict[str, dict[Key, Entry]] = {}
        # The keys of all sets, each with the number of sets. Only some have entries: a phrase is evaluated when its
        # rarest word is present, but its other words have to be found then.
        self._keys: Counter[str] = Counter()
        # The prefixes of keywords by their first characters, and in how many sets each occurs.
        self._prefixes: dict[str, Counter[str]] = defaultdict(Counter)
        # How many sets ignore diacritics.
        self._bare = 0
        self._heads: frozenset[str] = frozenset()
        self._head_lengths: list[int] = []
        # Parts that are no plain words.
        self._parts: dict[str, _Part] = {}
        self._lock = threading.Lock()

    def put(self, campaign: Key, keywords: KeywordSet) -> None:
        """Add the campaign's keywords, or replace them."""
        with self._lock:
            self._remove(campaign)
            self._sets[campaign] = keywords
            self._bare += keywords.bare
            self._keys.update(keywords.keys)
            for key, entry in keywords.entries.items():
                self._entries.setdefault(key, {})[campaign] = entry
            for prefix in keywords.prefixes:
                self._prefixes[prefix[:_HEAD]][prefix] += 1
            self._heads_update()

    def remove(self, campaign: Key) -> None:
        """Forget the campaign's keywords, if there are any."""
        with self._lock:
            self._remove(campaign)

    def _remove(self, campaign: Key) -> None:
        self._parts.clear()
        known = self._sets.pop(campaign, None)
        if known is None:
            return
        self._bare -= known.bare
        _forget(self._keys, known.keys)
        for key in known.entries:
            of_key = self._entries[key]
            del of_key[campaign]
            if not of_key:
                del self._entries[key]
        for prefix in known.prefixes:
            alike = self._prefixes[prefix[:_HEAD]]
            _forget(alike, [prefix])
            if not alike:
                del self._prefixes[prefix[:_HEAD]]
        self._heads_update()

    def _heads_update(self) -> None:
        self._heads = frozenset(self._prefixes)
        self._head_lengths = sorted(set(map(len, self._heads)))

    def keywords(self, campaign: Key) -> KeywordSet | None:
        """The campaign's keywords, if there are any."""
        return self._sets.get(campaign)

    def match(self, text: str, campaigns: Collection[Key]) -> dict[Key, tuple[str, ...]]:
        """The campaigns among these whose keywords match the text, each with the plus terms that match, in its order.

        A campaign is left out if one of its minus terms matches. Pass a set: it is compared fastest.
        """
        wanted = campaigns if isinstance(campaigns, set | frozenset) else set(campaigns)
        lower = text.lower().replace("ё", "е")
        edges = _EDGES if "." in lower and _DOT_WORD.search(lower) else _EDGES_AND_DOT
        parts = [part.strip(edges) for part in lower.split()]
        are_plain = _are_plain(lower)
        with self._lock:
            return self._match(parts, wanted, are_plain=are_plain)

    def _match(self, parts: list[str], wanted: Collection[Key], *, are_plain: bool) -> dict[Key, tuple[str, ...]]:
        plus: dict[Key, tuple[str, ...]] = {}
        candidates: dict[Key, tuple[CompiledTerm, ...]] = {}
        excluded: set[Key] = set()
        keys = self._keys_of(parts, are_plain=are_plain)
        for found in filter(None, map(self._entries.get, keys)):
            entries: Mapping[Key, Entry] = found
            if len(entries) > 2 * len(wanted):
                entries = {campaign: entries[campaign] for campaign in wanted if campaign in entries}
            for campaign, (holding, excluding, possible) in entries.items():
                if campaign not in wanted:
                    continue
                if excluding:
                    excluded.add(campaign)
                if holding:
                    plus[campaign] = plus[campaign] + holding if campaign in plus else holding
                if possible:
                    candidates[campaign] = candidates.get(campaign, ()) + possible
        if candidates:
            for campaign, term in self._holding(parts, keys, candidates, excluded):
                if term.term.minus:
                    excluded.add(campaign)
                else:
                    plus[campaign] = (*plus.get(campaign, ()), term.term.text)
        return {
            campaign: texts if len(texts) == 1 else self._sets[campaign].in_order(texts)
            for campaign, texts in plus.items()
            if campaign not in excluded
        }

    def _keys_of(self, parts: Sequence[str], *, are_plain: bool) -> set[str]:
        """The keys of keywords that the parts match, and plain words that are no keys."""
        if are_plain and not self._bare:
            words = [part for part in parts if part.isalpha()]
            keys = set(words)
            others = {part for part in parts if not part.isalpha()} if len(words) < len(parts) else set()
            for length in self._head_lengths:
                heads = self._heads.intersection([word[:length] for word in words])
                if heads:
                    keys.update(key for word in words if word[:length] in heads for key in self._prefixes_of(word))
        else:
            keys, others = set[str](), set(parts)
        for text in others:
            keys |= self._part(text).keys
        return keys

    def _holding(
        self,
        parts: Sequence[str],
        keys: set[str],
        candidates: Mapping[Key, Sequence[CompiledTerm]],
        excluded: Collection[Key],
    ) -> Iterator[tuple[Key, CompiledTerm]]:
        """The candidates that hold. Those of a campaign end when a minus term has put the campaign into `excluded`."""
        present: dict[str, list[Place]] = {}
        for campaign, terms in candidates.items():
            for term in terms:
                if campaign in excluded:
                    break
                if any(map(keys.isdisjoint, term.needs)):
                    continue
                present = present or self._present(parts)
                if term.plan.holds(present):
                    yield campaign, term

    def _present(self, parts: Sequence[str]) -> dict[str, list[Place]]:
        """The places of all keys in the message that some keyword has."""
        present: dict[str, list[Place]] = defaultdict(list)
        position = offset = 0
        for text in parts:
            _, places, words = self._part(text)
            for key, (at, after, start, end) in places:
                present[key].append(Place(at + position, after + position, start + offset, end + offset))
            position += words
            # Only the order of offsets counts. A folded text may be longer.
            offset += 20 * len(text) + 1
        return present

    def _part(self, text: str) -> _Part:
        """What a part of a message contributes."""
        known = self._parts.get(text)
        if known is not None:
            return known
        found, words = tokens(fold(text))
        places = tuple(
            (key, Place(token.at, token.next, token.start, token.end))
            for token in found
            for key in self._matched_by(token.key)
        )
        part = _Part(frozenset(key for key, _ in places), places, words)
        if len(text) <= _LONGEST_PART:
            if len(self._parts) >= _MOST_PARTS:
                self._parts.clear()
            self._parts[text] = part
        return part

    def _matched_by(self, key: str) -> list[str]:
        """The keys of keywords that this token's key matches."""
        found = [key] if key in self._keys else []
        if self._prefixes:
            found += self._prefixes_of(key)
        if self._bare:
            bare = bare_key(without_diacritics(key))
            found += [bare] if bare in self._keys else []
            found += self._prefixes_of(bare)
        return found

    def _prefixes_of(self, key: str) -> Iterator[str]:
        for length in self._head_lengths:
            for prefix in self._prefixes.get(key[:length], ()):
                if key.startswith(prefix):
                    yield prefix_key(prefix)


def _are_plain(lower: str) -> bool:
    """Whether each part of the text that consists of letters is a token as it is written."""
    if lower.isascii():
        return True
    if _OTHER_LETTER.search(lower) is not None:
        return False
    return _A_LATIN.search(lower) is None or _MIXED.search(lower) is None


def _forget(counter: Counter[str], keys: Iterable[str]) -> None:
    counter.subtract(keys)
    for key in keys:
        if not counter[key]:
            del counter[key]
