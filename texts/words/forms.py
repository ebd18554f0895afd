"""The grammatical forms of words: what a keyword finds besides its own spelling.

A keyword is expanded into all its forms when it is compiled. The words of a message are only looked up, so the
dictionaries are needed, and loaded, only where keywords are compiled.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Protocol

from texts.words.folding import fold
from texts.words.languages import LANGUAGES, Inflection, Language, chosen

# Different words of all campaigns of a process; a word with its forms takes about 5 kB.
_CACHED_WORDS = 4_000
_CYRILLIC = re.compile("[\u0400-\u052f]")
_LATIN = re.compile("[a-z\u00df-\u024f]")
# Letters of Kazakh, Kyrgyz, Belarusian, Azerbaijani and others, which neither Russian nor Ukrainian or Turkish have.
_WITHOUT_DICTIONARY = re.compile("[әғқңөұүһўҳҷҝӣӯџљњћђјќѓѕə]")


class Words(Protocol):
    """What is known about the words of a language. Words are folded."""

    def knows(self, word: str) -> bool: ...

    def forms(self, word: str) -> frozenset[str]: ...

    def likely_forms(self, word: str) -> frozenset[str]: ...


def forms_of(word: str, languages: Sequence[str]) -> frozenset[str]:
    """Every folded spelling that shares a lemma with the word in one of the languages (codes), the word included.

    An ambiguous word has the forms of all its lemmas. A word that none of the dictionaries contains has the forms of
    the words that end like it. In a language without a dictionary a word has no other forms.

    No languages: they are detected, see `detected`.

    Raises `UnknownLanguage`, and `TableUnavailable` if a dictionary cannot be prepared.
    """
    return _forms(fold(word), tuple(languages))


@lru_cache(_CACHED_WORDS)
def _forms(word: str, codes: tuple[str, ...]) -> frozenset[str]:
    languages = _of_script(word, chosen(codes)) if codes else detected(word)
    inflected = [_words(language) for language in languages if language.inflection is not Inflection.NONE]
    known = [words.forms(word) for words in inflected]
    if not any(known):
        known = [words.likely_forms(word) for words in inflected]
    return frozenset([word]).union(*known)


def detected(word: str) -> tuple[Language, ...]:
    """The languages whose dictionaries contain the folded word; if none does, all languages with its alphabet.

    A word that several languages know has its forms in all of them: chats mix languages, and each language in which a
    word means something else brings forms that hardly occur in texts of the other languages. A word of a language
    without a dictionary, such as Kazakh, is recognised by the letters that only such languages use.
    """
    if _WITHOUT_DICTIONARY.search(word):
        return ()
    candidates = [each for each in _of_script(word, LANGUAGES.values()) if each.inflection is not Inflection.NONE]
    return tuple(each for each in candidates if _words(each).knows(word)) or tuple(candidates)


def _of_script(word: str, languages: Iterable[Language]) -> list[Language]:
    scripts = {"cyrillic": _CYRILLIC.search(word), "latin": _LATIN.search(word)}
    return [language for language in languages if scripts[language.script]]


def _words(language: Language) -> Words:
    # Imported here, so that processes that compile no keywords load no dictionaries.
    if language.inflection is Inflection.MORPHOLOGY:
        from texts.words.morphology import morphology

        return morphology(language.code)
    from texts.words.dictionaries import DictionaryWords

    return DictionaryWords(language.code)
