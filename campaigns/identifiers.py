"""Checks and compares Telegram ids and usernames that operators type or import from files."""

import re

from django.db.models import Q

_USERNAME = re.compile(r"[A-Za-z]\w{2,31}", re.ASCII)
_ID_MOST = 2**53


def is_username(text: str) -> bool:
    """Whether the text can be a username, without @."""
    return _USERNAME.fullmatch(text) is not None


def is_person_id(text: str) -> bool:
    """Whether the text can be a person's Telegram id: groups and channels have negative ids."""
    return text.isascii() and text.isdecimal() and 0 < int(text[:20]) < _ID_MOST


def plain_username(username: str) -> str:
    """The form in which usernames are compared: without @, in lower case."""
    return username.strip().removeprefix("@").lower()


def named(username: str) -> Q:
    """Rows with this `username`, in any case.

    The condition matches the indexes on LOWER(username). Django's `iexact` compares UPPER(username), so PostgreSQL
    would read every row. For the ledger, whose index is another one, use `bots.gate.recipients.addressed_as`.
    """
    return Q(username__lower=plain_username(username), username__gt="")
