"""Texts as Telegram keeps them, here and in the sandbox."""

import pytest

from sandbox.world.texts import as_stored
from texts import spintax
from texts.telegram_form import as_kept, length, same_text


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Two\r\nlines", "Two\nlines"),
        ("  \r\n around \t", "around"),
        ("a\tb\x00c\x0bd", "a b c d"),
        ("left\u200eto right, no\u2028 separator, no \u202eforce", "left\u200eto right, no separator, no force"),
        ("wide\u00a0space  twice\n\nand an empty line", "wide\u00a0space  twice\n\nand an empty line"),
        ("cafe\u0301 \U0001f375", "cafe\u0301 \U0001f375"),
    ],
)
def test_a_text_is_kept_as_telegram_does(typed: str, kept: str):
    assert as_kept(typed) == as_stored(typed) == as_kept(kept) == kept
    assert same_text(typed, kept) and same_text(kept, typed)


def test_texts_with_other_words_or_lines_differ():
    assert not same_text("Two\nlines", "Two lines")
    assert not same_text("two", "Two")


def test_a_text_is_as_long_as_telegram_counts():
    assert length("tea") == 3
    assert length("\U0001f375") == 2, "UTF-16 units, not characters"
    assert spintax.longest("{\U0001f375|tea|no}") == 3 and spintax.longest("{\U0001f375\U0001f375|tea}") == 4
