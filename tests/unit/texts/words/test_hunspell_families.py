"""How well keywords find the forms of their words, measured on dictionaries that the product does not use.

Recall: the share of the families' forms that the keyword of their base word finds. Confusions: the share of forms that
the keyword of another family also finds. Some of these are right: “стали” is a form of “сталь” and of “стать”.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import pytest

from tests.unit.texts.words.hunspell import FILES, Spelling
from texts.words.forms import forms_of

FAMILIES = 1500
# Short words are the common ones. Long ones are mostly compounds and derived words.
LONGEST = 7
SEED = 1


class Wanted(NamedTuple):
    recall: float
    confusions: float


WANTED = {
    "ru": Wanted(0.995, 0.015),
    "uk": Wanted(0.995, 0.005),
    "de": Wanted(0.825, 0.065),
    "es": Wanted(0.950, 0.015),
    "fr": Wanted(0.860, 0.010),
    "pl": Wanted(0.930, 0.010),
}
# By how much detected languages may be worse. Words that several languages know have forms in all of them, and the
# forms of a word that only another language knows are not looked for.
DETECTED = 0.01


@cache
def families_of(language: str) -> dict[str, set[str]]:
    return Spelling(language).families(count=FAMILIES, longest=LONGEST, seed=SEED)


def measured(families: Mapping[str, set[str]], languages: Sequence[str]) -> Wanted:
    finders = defaultdict(set)
    for base in families:
        for form in forms_of(base, languages):
            finders[form].add(base)
    pairs = [(base, form) for base, forms in families.items() for form in forms]
    found = sum(base in finders[form] for base, form in pairs)
    confused = sum(bool(finders[form] - {base}) for base, form in pairs)
    return Wanted(round(found / len(pairs), 4), round(confused / len(pairs), 4))


@pytest.mark.parametrize("language", FILES)
def test_keyword_finds_the_forms_of_its_word_and_hardly_any_others(language):
    families = families_of(language)
    assert len(families) > 0.95 * FAMILIES
    result = measured(families, [language])
    assert result.recall >= WANTED[language].recall
    assert result.confusions <= WANTED[language].confusions


@pytest.mark.parametrize("language", FILES)
def test_languages_are_detected_almost_as_well(language):
    result = measured(families_of(language), [])
    assert result.recall >= WANTED[language].recall - DETECTED
    assert result.confusions <= WANTED[language].confusions + DETECTED
