"""The spellings under which the words of a text can be looked up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from texts.words.tokens import text_tokens


def keys(text: str) -> list[str]:
    return [token.key for token in text_tokens(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("«Привет», (мир)!", ["привет", "мир"]),
        ("Wi-Fi", ["wi", "fi", "wifi"]),
        ("e-mail", ["e", "mail", "email"]),
        ("node.js", ["node", "js", "node.js"]),
        (".net asp.net", ["net", ".net", "asp", "net", "asp.net"]),
        ("50% 18+ 1.5 1,5 24/7", ["50%", "18+", "1.5", "1.5", "24/7"]),
        ("C++ c# с++", ["c++", "c#", "c++"]),
        ("1С и 1C", ["1c", "и", "1c"]),
        ("2-3", ["2", "3"]),
        ("скидка-50%", ["скидка", "50%"]),
        ("#ипотека", ["ипотека", "#ипотека"]),
        ("#купить_дом", ["купить", "дом", "#купить_дом"]),
        ("@coffee_shop", ["@coffee_shop"]),
        ("info@coffee.ru", ["info@coffee.ru"]),
        ("https://t.me/english?x=1 www.x.com avito.ru/abc", ["t.me", "x.com", "avito.ru"]),
        ("и/или", ["и", "или"]),
        ("школа_языков", ["школа", "языков"]),
        ("L'appartement", ["l'appartement", "appartement"]),
        ("teacher’s", ["teacher's", "teacher"]),
        ("п’ять", ["п'ять"]),
        ("AI教室", ["ai", "教", "室"]),
        ("🔥👍🏽", ["🔥", "👍"]),
        ("500₽ $50", ["500", "₽", "$", "50"]),
        ("हिन्दी", ["हिन्दी"]),
        ("...!!! — ", []),
    ],
)
def test_tokens(text: str, expected: list[str]):
    assert keys(text) == expected


def test_positions_count_words_and_neither_signs_nor_punctuation():
    found = {token.key: (token.at, token.next) for token in text_tokens("wi-fi 🔥 роутер, 50% — да")}
    assert found == {
        "wi": (0, 1),
        "fi": (1, 2),
        "wifi": (0, 2),
        "🔥": (2, 2),
        "роутер": (2, 3),
        "50%": (3, 4),
        "да": (4, 5),
    }


def test_offsets_are_those_of_the_text_as_written():
    text = "Стра\u0301на и  Stra\u00dfe\u200b, Wi-Fi!"
    spans = {token.key: text[token.start : token.end] for token in text_tokens(text)}
    assert spans["strasse"] == "Stra\u00dfe\u200b"
    assert spans["страна"] == "Стра\u0301на"
    assert spans["wifi"] == "Wi-Fi"


@given(st.text(alphabet="aб1@#-._/'+%🔥教 \u0301\u200bｆ", max_size=40))
def test_any_text_can_be_split(text: str):
    found = text_tokens(text)
    for token in found:
        assert 0 <= token.start < token.end <= len(text)
        assert 0 <= token.at <= token.next
    assert [token.at for token in found if token.next == token.at + 1] == sorted(
        token.at for token in found if token.next == token.at + 1
    )
