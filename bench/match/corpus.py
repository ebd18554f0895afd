"""Texts and keywords for the benchmark, drawn from word frequencies (wordfreq) by a fixed seed."""

import random
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

from wordfreq import get_frequency_dict

LANGUAGES = ("ru", "en")
# The share of tokens that never occurred before: typos, links, names.
NEVER_SEEN = 0.03
# So many words of each language occur in texts; nearly all have been met after some ten thousand messages.
_VOCABULARY = 100_000
# Keywords are no function words: the most frequent words are left out. The rest is rarer than what people look for.
_FIRST_RANK, _LAST_RANK = 40_000, _VOCABULARY - 1
_MARKS = [*[""] * 20, ",", ",", ".", "!", "?"]
_LETTERS = {"ru": "абвгдежзиклмнопрстуфхцчшыэюя", "en": "abcdefghijklmnopqrstuvwxyz"}


class Words:
    """The words of a language by frequency."""

    def __init__(self, language: str) -> None:
        frequencies = get_frequency_dict(language, wordlist="large")
        pure = {word: share for word, share in frequencies.items() if all(letter.isalpha() for letter in word)}
        self.language = language
        self.ranked = sorted(pure, key=lambda word: (-pure[word], word))[:_VOCABULARY]
        self._summed = list(accumulate(pure[word] for word in self.ranked))

    def draw(self, rng: random.Random) -> str:
        """A word, as often as it occurs."""
        return self.ranked[bisect_left(self._summed, rng.random() * self._summed[-1])]

    def keyword(self, rng: random.Random) -> str:
        """A word that people might look for: any content word of a broad range of ranks, frequent ones more often."""
        rank = int(_FIRST_RANK * (_LAST_RANK / _FIRST_RANK) ** rng.random())
        return self.ranked[min(rank, len(self.ranked) - 1)]

    def unseen(self, rng: random.Random) -> str:
        """A typo, a link or a name that occurs nowhere else."""
        letters = _LETTERS[self.language]
        tail = "".join(rng.choices(letters, k=6))
        word = self.draw(rng)
        return rng.choice(
            [f"{word[:-1]}{tail}{word[-1:]}", f"https://{tail}.com/{tail}", tail.capitalize(), f"@{tail}"]
        )


@lru_cache(maxsize=2)
def words(language: str) -> Words:
    return Words(language)


def texts(count: int, seed: int) -> list[str]:
    """Messages of 15 words (median) in one of the two languages each."""
    rng = random.Random(seed)
    return [_text(rng, words(rng.choice(LANGUAGES))) for _ in range(count)]


def _text(rng: random.Random, source: Words) -> str:
    length = max(1, round(rng.lognormvariate(2.708, 0.6)))
    drawn = [source.unseen(rng) if rng.random() < NEVER_SEEN else source.draw(rng) for _ in range(length)]
    marked = [word + rng.choice(_MARKS) for word in drawn]
    return " ".join(marked).capitalize()


def keywords(campaigns: int, terms: int, seed: int) -> list[list[str]]:
    """The keywords of so many campaigns: seven of ten are single words, the others phrases, near words and groups."""
    rng = random.Random(seed)
    return [_keywords_of(rng, words(rng.choice(LANGUAGES)), terms) for _ in range(campaigns)]


def _keywords_of(rng: random.Random, source: Words, terms: int) -> list[str]:
    made: dict[str, None] = {}
    while len(made) < terms:
        one, other, third = (source.keyword(rng) for _ in range(3))
        kind = rng.random()
        if kind < 0.7:
            made[one] = None
        elif kind < 0.85:
            made[f"{one} {other}"] = None
        elif kind < 0.92:
            made[f"{one} ~3 {other}"] = None
        elif kind < 0.97:
            made[f"({one} | {other}) {third}"] = None
        else:
            made[f"{one[:5]}*" if len(one) > 5 else one] = None
    return list(made)


def plain(keyword: str) -> Sequence[str]:
    """The keyword's words for contenders that know no operators."""
    return [part.strip("*") for part in keyword.replace("(", " ").replace(")", " ").split() if part[0] not in "~|"]
