"""Matches messages with the keywords of many campaigns in one pass.

A keyword is stored under all forms of its words, so a message's words are only looked up: nothing in a message is
inflected or reduced to a stem. What a part of a message between white space contributes is remembered, because most
parts occur again. Of the keywords with several words, only those whose rarest word is in the message are evaluated.
"""

import re
import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Generic, NamedTuple, TypeVar

from parser.keywords.compiling import SHORTEST_PREFIX, CompiledTerm, Entry, KeywordSet
from parser.keywords.plans import Place, bare_key, prefix_key
from texts.words.folding import fold, without_diacritics
from texts.words.tokens import Token, tokens

# Parts of messages that are remembered, and the longest of them: longer ones are links, which hardly occur again.
_MOST_PARTS, _LONGEST_PART = 100_000, 64

# A campaign: any hashable value. An int is compared fastest.
Key = TypeVar("Key", bound=Hashable)


# Punctuation around words, without any meaning in tokens.
_EDGES = '!?:;"«»“”„…()[]{}<>|*,'
# A part that is one token, and that folding does not change.
_PLAIN = re.compile("[a-z]+|[а-юяіїєґў]+")
# The entries of one key, by campaign.
_Entries = Mapping[Key, Entry]


class _Part(NamedTuple):
    """The keys in a part of a message with their places, and how many positions the part has."""

    places: tuple[tuple[str, Place], ...]
    words: int


@lru_cache(maxsize=100)
def _nothing(words: int) -> _Part:
    """A part without keys: one object for all of them, to save memory."""
    return _Part((), words)


_WORD = _nothing(1)


class KeywordIndex(Generic[Key]):
    """The keyword sets of campaigns. Threads may use it at the same time: a match sees each set whole or not at all."""

    def __init__(self) -> None:
        self._sets: dict[Key, KeywordSet] = {}
        self._entries: dict[str, dict[Key, Entry]] = {}
        # The prefixes of keywords by their first characters, and in how many sets each occurs.
        self._prefixes: dict[str, Counter[str]] = defaultdict(Counter)
        # How many sets ignore diacritics.
        self._bare = 0
        # The keys of all sets, each with the number of sets. Only some have entries: a phrase is evaluated when its
        # rarest word is present, but its other words have to be found then.
        self._keys: Counter[str] = Counter()
        # Parts of messages: the entries that each leads to, and what else is needed for phrases.
        self._entries_of: dict[str, tuple[_Entries[Key], ...]] = {}
        self._places_of: dict[str, _Part] = {}
        # The keys of those parts that have others than their own text.
        self._more_keys_of: dict[str, tuple[str, ...]] = {}
        self._long: list[str] = []
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
                self._prefixes[prefix[:SHORTEST_PREFIX]][prefix] += 1

    def remove(self, campaign: Key) -> None:
        """Forget the campaign's keywords, if there are any."""
        with self._lock:
            self._remove(campaign)

    def _remove(self, campaign: Key) -> None:
        self._forget_parts()
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
            alike = self._prefixes[prefix[:SHORTEST_PREFIX]]
            _forget(alike, [prefix])
            if not alike:
                del self._prefixes[prefix[:SHORTEST_PREFIX]]

    def keywords(self, campaign: Key) -> KeywordSet | None:
        """The campaign's keywords, if there are any."""
        return self._sets.get(campaign)

    def match(self, text: str, campaigns: Collection[Key]) -> dict[Key, tuple[str, ...]]:
        """The campaigns among these whose keywords match the text, each with the plus terms that match, in its order.

        A campaign is left out if one of its minus terms matches. Pass a set: it is compared fastest.
        """
        wanted = campaigns if isinstance(campaigns, set | frozenset) else set(campaigns)
        parts = [part.strip(_EDGES) for part in text.lower().split()]
        with self._lock:
            try:
                return self._match(parts, wanted)
            finally:
                self._forget_long_parts()

    def _match(self, parts: Sequence[str], wanted: Collection[Key]) -> dict[Key, tuple[str, ...]]:
        plus: dict[Key, tuple[str, ...]] = {}
        candidates: dict[Key, tuple[CompiledTerm, ...]] = {}
        excluded: set[Key] = set()
        unique = set(parts)
        for entries in self._found(unique):
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
            self._evaluate(parts, unique, plus, candidates, excluded)
        return {
            campaign: texts if len(texts) == 1 else self._sets[campaign].in_order(texts)
            for campaign, texts in plus.items()
            if campaign not in excluded
        }

    def _found(self, parts: set[str]) -> Iterable[_Entries[Key]]:
        """The entries of all keys in these parts."""
        new = parts.difference(self._entries_of)
        if new and len(self._entries_of) + len(new) > _MOST_PARTS:
            self._forget_parts()
            new = parts
        for text in new:
            self._learn(text)
        return chain.from_iterable(filter(None, map(self._entries_of.__getitem__, parts)))

    def _evaluate(
        self,
        parts: Sequence[str],
        keys: set[str],
        plus: dict[Key, tuple[str, ...]],
        candidates: Mapping[Key, Sequence[CompiledTerm]],
        excluded: set[Key],
    ) -> None:
        """Add the candidates that hold to `plus`, and the campaigns of minus terms that hold to `excluded`.

        `keys` are the different parts; the keys that they have besides are added.
        """
        for text in self._more_keys_of.keys() & keys:
            keys.update(self._more_keys_of[text])
        present: dict[str, list[Place]] = {}
        for campaign, terms in candidates.items():
            for term in terms:
                if campaign in excluded:
                    break
                if any(map(keys.isdisjoint, term.needs)):
                    continue
                present = present or self._present(parts)
                if not term.plan.holds(present):
                    continue
                if term.term.minus:
                    excluded.add(campaign)
                else:
                    plus[campaign] = (*plus.get(campaign, ()), term.term.text)

    def _present(self, parts: Sequence[str]) -> dict[str, list[Place]]:
        """The places of all keys in the message that some keyword has."""
        present: dict[str, list[Place]] = defaultdict(list)
        position = offset = 0
        for text in parts:
            places, words = self._places_of[text]
            for key, (at, after, start, end) in places:
                present[key].append(Place(at + position, after + position, start + offset, end + offset))
            position += words
            # Only the order of offsets counts. A folded text may be longer.
            offset += 20 * len(text) + 1
        return present

    def _learn(self, text: str) -> None:
        """Remember what a part of a message contributes."""
        is_word = _PLAIN.fullmatch(text) is not None
        if is_word and text not in self._keys and not self._bare and text[:SHORTEST_PREFIX] not in self._prefixes:
            self._entries_of[text], self._places_of[text] = (), _WORD
            return
        found, words = ([Token(text, 0, 1, 0, 1)], 1) if is_word else tokens(fold(text))
        places = tuple(
            (key, Place(token.at, token.next, token.start, token.end))
            for token in found
            for key in self._matched_by(token.key)
        )
        keys = tuple(dict.fromkeys(key for key, _ in places))
        self._entries_of[text] = tuple(self._entries[key] for key in keys if key in self._entries)
        self._places_of[text] = _Part(places, words) if places else _nothing(words)
        if keys not in ((), (text,)):
            self._more_keys_of[text] = keys
        if len(text) > _LONGEST_PART:
            self._long.append(text)

    def _forget_long_parts(self) -> None:
        """Long parts are links, which hardly occur again."""
        for text in self._long:
            self._entries_of.pop(text, None)
            self._places_of.pop(text, None)
            self._more_keys_of.pop(text, None)
        self._long.clear()

    def _forget_parts(self) -> None:
        self._entries_of.clear()
        self._places_of.clear()
        self._more_keys_of.clear()

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

    def _prefixes_of(self, key: str) -> list[str]:
        alike = self._prefixes.get(key[:SHORTEST_PREFIX])
        return [prefix_key(prefix) for prefix in alike if key.startswith(prefix)] if alike else []


def _forget(counter: Counter[str], keys: Iterable[str]) -> None:
    counter.subtract(keys)
    for key in keys:
        if not counter[key]:
            del counter[key]
