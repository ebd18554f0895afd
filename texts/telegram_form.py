"""Brings texts into the form in which Telegram stores them. Sent and received texts are compared in this form.

Telegram turns "\\r\\n" (which browsers send between lines) into "\\n", and tabs and control characters into spaces. It
removes some invisible characters, and white space around the text. TDLib does the same before it sends a text
(tdlib/td, td/telegram/misc.cpp).
"""

import re

# Telegram's limit for one text message, in UTF-16 units (https://core.telegram.org/api/config, message_length_max).
LONGEST = 4096
# All control characters except "\n"; "\r" has been removed before.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
# "\r", line and paragraph separators, forced directions, and marks that draw lines through the letters beside them.
_DROPPED = re.compile("[\r\u2028-\u202e\u0333\u033f\u030a]")


def as_kept(text: str) -> str:
    """The text in the form in which Telegram stores it."""
    return _CONTROL.sub(" ", _DROPPED.sub("", text)).strip()


def same_text(text: str, other: str) -> bool:
    """Whether Telegram stores both texts in the same form."""
    return as_kept(text) == as_kept(other)


def length(text: str) -> int:
    """The length as Telegram counts it: in UTF-16 units, so most emojis count as two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
