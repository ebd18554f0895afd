"""What Telegram's names look like: for whoever types them, or takes them from a file."""

import re

_USERNAME = re.compile(r"[A-Za-z]\w{2,31}", re.ASCII)
_ID_MOST = 2**53


def is_username(text: str) -> bool:
    """Without @."""
    return _USERNAME.fullmatch(text) is not None


def is_person_id(text: str) -> bool:
    """Negative ids are those of groups and channels."""
    return text.isascii() and text.isdecimal() and 0 < int(text[:20]) < _ID_MOST
