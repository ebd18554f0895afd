"""Cleans a text as Telegram does: lines end with "\\n" alone, control characters and tabs are spaces, some invisible
characters are dropped, and nothing surrounds it (as its own library cleans it: tdlib/td, td/telegram/misc.cpp)."""

import re

# Backspace to unit separator, except "\n"; "\r" is dropped before.
_CONTROL = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f]")
# Line and paragraph separators, directions that are forced, and marks that draw lines through other letters.
_DROPPED = re.compile("[\r\u2028-\u202e\u0333\u033f\u030a]")


def as_stored(text: str) -> str:
    return _CONTROL.sub(" ", _DROPPED.sub("", text)).strip(" \n")
