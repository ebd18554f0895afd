"""Matches messages with the keywords of many campaigns in one pass.

A keyword is stored under all forms of its words, so a message's words are only looked up: nothing in a message is
inflected or reduced to a stem. What a part of a message between white space contributes is remembered, because most
parts occur again. Of the keywords with several words, only those whose rarest word is in the message are evaluated.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from parser.keywords.compiling import SHORTEST_PREFIX, Entry, KeywordSet
from parser.keywords.plans import Place, bare_key, prefix_key, prefix_of
from texts.words.folding import fold, without_diacritics
from texts.words.tokens import tokens

# Parts of messages that are remembered, and the longest of them: longer ones are links, which hardly occur again.
_MOST_PARTS, _LONGEST_PART = 50_000, 64

# A campaign: any hashable value. An int is compared fastest.
Key = TypeVar("Key", bound=Hashable)


class _Part(NamedTuple, Generic[Key]):
    """What a part contributes: the entries of its keys, each key with its place in the part, and its positions."""

    entries: tuple[Mapping[Key, Entry], ...]
    places: tuple[tuple[str, Place], ...]
    words: int
    length: int


class KeywordIndex(Generic[Key]):
    """The keyword sets of campaigns. Threads may use it at the same time: a match sees each set whole or not at all."""

    def __init__(self) -> None:
        self._sets: dict[Key, KeywordSet] = {}
        self._entries: dict[str, dict[Key, Entry]] = {}
        # The prefixes of keywords by their first characters, and in how many sets each occurs.
        self._prefixes: dict[str, Counter[str]] = defaultdict(Counter)
        # How many sets ignore diacritics.
        self._bare = 0
        self._parts: dict[str, _Part[Key]] = {}
        self._lock = threading.Lock()

    def put(self, campaign: Key, keywords: KeywordSet) -> None:
        """Add the campaign's keywords, or replace them."""
        with self._lock:
            self._remove(campaign)
            self._sets[campaign] = keywords
            self._bare += keywords.bare
            for key, entry in keywords.entries.items():
                self._entries.setdefault(key, {})[campaign] = entry
                if prefix := prefix_of(key):
                    self._prefixes[prefix[:SHORTEST_PREFIX]][prefix] += 1

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
        for key in known.entries:
            of_key = self._entries[key]
            del of_key[campaign]
            if not of_key:
                del self._entries[key]
            if prefix := prefix_of(key):
                self._forget_prefix(prefix)

    def _forget_prefix(self, prefix: str) -> None:
        alike = self._prefixes[prefix[:SHORTEST_PREFIX]]
        alike[prefix] -= 1
        if not alike[prefix]:
            del alike[prefix]

    def __contains__(self, campaign: Key) -> bool:
        return campaign in self._sets

    def match(self, text: str, campaigns: Collection[Key]) -> dict[Key, tuple[str, ...]]:
        """The campaigns among these whose keywords match the text, each with the plus terms that match, in its order.

        A campaign is left out if one of its minus terms matches. Pass a set: it is compared fastest.
        """
        wanted = campaigns if isinstance(campaigns, set | frozenset) else set(campaigns)
        with self._lock:
            return self._match(text.split(), wanted)

    def _match(self, parts: Sequence[str], wanted: Collection[Key]) -> dict[Key, tuple[str, ...]]:
        known, learn = self._parts.get, self._learn
        found = [part for text in dict.fromkeys(parts) if (part := known(text) or learn(text)).entries]
        if not found:
            return {}
        plus: dict[Key, set[int]] = {}
        candidates: dict[Key, set[int]] = {}
        excluded: set[Key] = set()
        for part in found:
            for entries in part.entries:
                for campaign in entries.keys() & wanted:
                    entry = entries[campaign]
                    if entry.minus:
                        excluded.add(campaign)
                    if entry.plus:
                        plus.setdefault(campaign, set()).update(entry.plus)
                    if entry.candidates:
                        candidates.setdefault(campaign, set()).update(entry.candidates)
        if candidates:
            self._evaluate(parts, plus, candidates, excluded)
        return {
            campaign: tuple(self._sets[campaign].terms[number].term.text for number in sorted(numbers))
            for campaign, numbers in plus.items()
            if campaign not in excluded
        }

    def _evaluate(
        self,
        parts: Sequence[str],
        plus: dict[Key, set[int]],
        candidates: Mapping[Key, Iterable[int]],
        excluded: set[Key],
    ) -> None:
        """Add the candidates that hold to `plus`, and the campaigns of minus terms that hold to `excluded`."""
        present = self._present(parts)
        for campaign, numbers in candidates.items():
            if campaign in excluded:
                continue
            terms = self._sets[campaign].terms
            for number in numbers:
                term = terms[number]
                if not term.plan.holds(present):
                    continue
                if term.term.minus:
                    excluded.add(campaign)
                    break
                plus.setdefault(campaign, set()).add(number)

    def _present(self, parts: Sequence[str]) -> dict[str, list[Place]]:
        """The places of all keys in the message that some keyword has."""
        present: dict[str, list[Place]] = defaultdict(list)
        position = offset = 0
        for text in parts:
            part = self._parts.get(text) or self._learn(text)
            for key, (at, after, start, end) in part.places:
                present[key].append(Place(at + position, after + position, start + offset, end + offset))
            position += part.words
            offset += part.length
        return present

    def _learn(self, text: str) -> _Part[Key]:
        folded = fold(text)
        found, words = tokens(folded)
        places = [
            (key, Place(token.at, token.next, token.start, token.end))
            for token in found
            for key in self._keys(token.key)
        ]
        entries = tuple(self._entries[key] for key in dict.fromkeys(key for key, _ in places))
        part = _Part(entries, tuple(places), words, len(folded) + 1)
        if len(text) <= _LONGEST_PART:
            if len(self._parts) >= _MOST_PARTS:
                self._parts.clear()
            self._parts[text] = part
        return part

    def _keys(self, key: str) -> Iterator[str]:
        """The keys of keywords that this token's key matches."""
        spellings = (key, bare_key(without_diacritics(key))) if self._bare else (key,)
        for spelling in spellings:
            if spelling in self._entries:
                yield spelling
            for prefix in self._prefixes.get(spelling[:SHORTEST_PREFIX], ()):
                if spelling.startswith(prefix):
                    yield prefix_key(prefix)
