"""Texts as Telegram keeps them: what we send and what a history shows are compared in this form.

A panel's form sends "\\r\\n" between lines; Telegram keeps "\\n". It also makes spaces of tabs and control characters,
drops some invisible characters, and keeps nothing around a text (tdlib/td, td/telegram/misc.cpp, does the same before
it sends).
"""

import re

# Telegram's limit for one text message, in UTF-16 units (https://core.telegram.org/api/config, message_length_max).
LONGEST = 4096
# All below the space except "\n"; "\r" is dropped before.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
# "\r", line and paragraph separators, forced directions, and marks that draw lines through the letters beside them.
_DROPPED = re.compile("[\r\u2028-\u202e\u0333\u033f\u030a]")


def as_kept(text: str) -> str:
    return _CONTROL.sub(" ", _DROPPED.sub("", text)).strip()


def same_text(text: str, other: str) -> bool:
    """Whether Telegram keeps both alike."""
    return as_kept(text) == as_kept(other)


def length(text: str) -> int:
    """As Telegram counts: in UTF-16 units, so that most emojis count twice."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
