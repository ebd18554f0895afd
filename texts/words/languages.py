"""The languages of keywords, and what is known of each: whether a keyword finds the forms of a word."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Inflection(Enum):
    """Where the forms of a language's words come from."""

    MORPHOLOGY = "morphology"  # pymorphy3: also the forms of words that its dictionary does not contain
    DICTIONARY = "dictionary"  # a table of ours, built from simplemma's dictionary
    NONE = "none"  # no library of good quality: a word is found only as it is written


@dataclass(frozen=True)
class Language:
    """A language, its ISO 639-1 code, and the alphabet (`latin` or `cyrillic`) in which people write it in chats."""

    code: str
    name: str
    script: str
    inflection: Inflection

    @property
    def ability(self) -> str:
        """What keywords in this language find, for operators."""
        match self.inflection:
            case Inflection.NONE:
                return f"{self.name}: exact form and prefix only"
            case Inflection.DICTIONARY:
                return f"{self.name}: all forms of the words in its dictionary, and of words that end like these"
            case Inflection.MORPHOLOGY:
                return f"{self.name}: all forms"


LANGUAGES = {
    language.code: language
    for language in (
        Language("en", "English", "latin", Inflection.DICTIONARY),
        Language("ru", "Russian", "cyrillic", Inflection.MORPHOLOGY),
        Language("uk", "Ukrainian", "cyrillic", Inflection.MORPHOLOGY),
        Language("de", "German", "latin", Inflection.DICTIONARY),
        Language("fr", "French", "latin", Inflection.DICTIONARY),
        Language("es", "Spanish", "latin", Inflection.DICTIONARY),
        Language("pt", "Portuguese", "latin", Inflection.DICTIONARY),
        Language("it", "Italian", "latin", Inflection.DICTIONARY),
        Language("pl", "Polish", "latin", Inflection.DICTIONARY),
        Language("tr", "Turkish", "latin", Inflection.DICTIONARY),
        Language("kk", "Kazakh", "cyrillic", Inflection.NONE),
        Language("uz", "Uzbek", "latin", Inflection.NONE),
        Language("be", "Belarusian", "cyrillic", Inflection.NONE),
        Language("ky", "Kyrgyz", "cyrillic", Inflection.NONE),
        Language("az", "Azerbaijani", "latin", Inflection.NONE),
    )
}


class UnknownLanguage(ValueError):
    """There is no language with this code. The message names the codes that there are."""


class TableUnavailable(RuntimeError):
    """A language's table is missing and cannot be built. The message says why, and what an operator can do."""


def chosen(codes: Iterable[str]) -> tuple[Language, ...]:
    """The languages with these codes, each once. Raises `UnknownLanguage`."""
    unique = dict.fromkeys(codes)
    if unknown := [code for code in unique if code not in LANGUAGES]:
        raise UnknownLanguage(f"There is no language “{unknown[0]}”. Choose from: {', '.join(sorted(LANGUAGES))}.")
    return tuple(LANGUAGES[code] for code in unique)


def with_table() -> tuple[str, ...]:
    """The codes of the languages whose words stand in a table (`texts.words.tables`)."""
    return tuple(code for code, language in LANGUAGES.items() if language.inflection is Inflection.DICTIONARY)
