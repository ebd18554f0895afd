"""Spellings that readers take for equal become equal, and others stay apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from texts.words.folding import fold, fold_with_offsets, unmix, without_diacritics


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("ЁЛКА", "елка"),
        ("Straße", "strasse"),
        ("İstanbul", "istanbul"),
        ("KIRALIK kıralık", "kiralik kiralik"),
        ("за́мок", "замок"),
        ("и\u0306", "й"),
        ("с̶к̶и̶д̶к̶а̶", "скидка"),
        ("ре\u200bпе\u00adти\u2060то\ufe0fр", "репетитор"),
        ("\u202eрепетитор\u202c", "репетитор"),
        ("п’ять пʼять п'ять п`ять", "п'ять п'ять п'ять п'ять"),
        ("𝐤𝐞𝐲 ＩＥＬＴＳ", "key ielts"),
        ("ΟΔΟΣ", "οδοσ"),
        ("1️⃣ 👍🏽", "1 👍"),
        ("ﾌﾟﾛ", "プロ"),
    ],
)
def test_one_spelling(text: str, folded: str):
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("кoфе", "кофе"),  # a Latin o
        ("mocквa", "москва"),
        ("cкидка", "скидка"),
        ("pаypal", "paypal"),  # a Cyrillic а
        ("1с", "1c"),
        ("с++", "c++"),
        ("5м", "5m"),
        ("αpple", "apple"),
        ("cоok", "cook"),  # a Cyrillic о
        ("wifiкурсы", "wifiкурсы"),
        ("кофе", "кофе"),
        ("сор", "сор"),
    ],
)
def test_look_alikes_become_letters_of_the_words_alphabet(word: str, expected: str):
    assert unmix(word) == expected


def test_diacritics_are_ignored_on_demand_but_not_those_of_cyrillic_letters():
    assert [without_diacritics(word) for word in ("café", "łódź", "señor", "йод", "їжак")] == [
        "cafe",
        "lodz",
        "senor",
        "йод",
        "їжак",
    ]


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=30))
def test_offsets_lead_back_to_the_original(text: str):
    folded, offsets = fold_with_offsets(text)
    assert folded == fold(text)
    assert len(offsets) == len(folded)
    assert offsets == sorted(offsets)
    assert all(0 <= offset < len(text) for offset in offsets)
