"""Texts as Telegram stores them, and which texts it refuses."""

import re

from sandbox.world.errors import WorldError

MAX_TEXT = 4096  # Telegram's limit for one message, in characters

# Backspace to unit separator, except "\n"; "\r" is dropped before.
_CONTROL = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f]")
# Line and paragraph separators, characters that force a direction, and marks that draw lines through other letters.
_DROPPED = re.compile("[\r\u2028-\u202e\u0333\u033f\u030a]")


def as_stored(text: str) -> str:
    """The text as Telegram cleans it (tdlib/td, td/telegram/misc.cpp).

    Lines end with "\\n" alone, control characters and tabs become spaces, some invisible characters are dropped, and
    white space around the text is removed.
    """
    return _CONTROL.sub(" ", _DROPPED.sub("", text)).strip(" \n")


def check_text(text: str) -> None:
    """Raises WorldError for a text that is empty or too long."""
    if not text.strip():
        raise WorldError("MESSAGE_EMPTY")
    if len(text) > MAX_TEXT:
        raise WorldError("MESSAGE_TOO_LONG")
