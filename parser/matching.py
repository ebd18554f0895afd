"""Decides whether a message matches a campaign's keywords. No database access.

Words are compared by their stems (Snowball; Russian for Cyrillic, English for Latin letters), so a keyword stands for
all its forms: `английский` finds "английским", `roaster` finds "roasters". Case, ё/е, stress marks and invisible
characters do not matter. A phrase matches its words in this order with only punctuation between them.
"""

import re
import threading
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import Stemmer

# `c++` and `c#` are words, because otherwise a search for them would find every single letter.
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*(?:\+\+(?!\w)|#(?!\w))?")
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_LATIN = re.compile(r"[a-z]")
# Invisible characters that would split or change a word: stress marks, soft hyphens, joiners.
_INVISIBLE = dict.fromkeys(map(ord, "\u0300\u0301\u00ad\u200b\u200c\u200d\u2060\ufeff"))
_FOLDED = str.maketrans("ё’", "е'")

Stems = tuple[str, ...]

# A stemmer is not thread-safe. It caches the words that it has seen.
_stemmers = threading.local()


@dataclass(frozen=True)
class Term:
    """A keyword as its author wrote it. If `minus`, a message that contains the keyword never matches."""

    text: str
    minus: bool = False


@dataclass(frozen=True)
class _Phrase:
    stems: Stems
    text: str
    minus: bool


def stems(text: str) -> Stems:
    """The stems of the text's words, in order."""
    folded = unicodedata.normalize("NFKC", text).translate(_INVISIBLE).lower().translate(_FOLDED)
    return tuple(_stem(word) for word in _WORD.findall(folded))


class Matcher:
    """Searches for all keywords of a campaign at once: the time does not grow with their number.

    A keyword that contains no word ("!!!") never matches.
    """

    def __init__(self, terms: Iterable[Term]) -> None:
        self._by_first: dict[str, list[_Phrase]] = {}
        for term in terms:
            wanted = stems(term.text)
            if wanted:
                self._by_first.setdefault(wanted[0], []).append(_Phrase(wanted, term.text, term.minus))

    def match(self, text: str) -> str | None:
        """The first plus keyword in the text. None if there is none, or if the text contains a minus keyword."""
        message = stems(text)
        found: str | None = None
        for start, stem in enumerate(message):
            for phrase in self._by_first.get(stem, ()):
                if message[start : start + len(phrase.stems)] != phrase.stems:
                    continue
                if phrase.minus:
                    return None
                found = found if found is not None else phrase.text
        return found


def _stem(word: str) -> str:
    if _CYRILLIC.search(word):
        return str(_stemmer("russian").stemWord(word))
    return str(_stemmer("english").stemWord(word)) if _LATIN.search(word) else word


def _stemmer(language: Literal["russian", "english"]) -> Stemmer.Stemmer:
    if not hasattr(_stemmers, language):
        setattr(_stemmers, language, Stemmer.Stemmer(language))
    return getattr(_stemmers, language)
