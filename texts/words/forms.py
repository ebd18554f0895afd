"""The grammatical forms of words."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from texts.words.folding import fold


@lru_cache(maxsize=20_000)
def _russian(word: str) -> frozenset[str]:
    return frozenset(fold(form.word) for parse in _analyzer().parse(word) for form in parse.lexeme)


@lru_cache(maxsize=1)
def _analyzer() -> Any:
    import pymorphy3

    return pymorphy3.MorphAnalyzer(lang="ru")


def forms_of(word: str, languages: Sequence[str]) -> frozenset[str]:
    """Every folded spelling that shares a lemma with the folded word in one of the languages, the word included.

    `languages` are codes; none: they are detected.
    """
    if not "\u0400" <= word[:1] <= "\u04ff" or (languages and "ru" not in languages):
        return frozenset([word])
    return _russian(word) | {word}
