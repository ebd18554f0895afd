"""Checks and compares Telegram ids and usernames as operators type them and files hold them."""

import re

from django.db.models import Q

_USERNAME = re.compile(r"[A-Za-z]\w{2,31}", re.ASCII)
_ID_MOST = 2**53


def is_username(text: str) -> bool:
    """Without @."""
    return _USERNAME.fullmatch(text) is not None


def is_person_id(text: str) -> bool:
    """Negative ids are those of groups and channels."""
    return text.isascii() and text.isdecimal() and 0 < int(text[:20]) < _ID_MOST


def plain_username(username: str) -> str:
    """As names are compared: without @, in small letters."""
    return username.strip().removeprefix("@").lower()


def named(username: str) -> Q:
    """Rows whose `username` this is, in the words of the indexes on LOWER(username): `iexact` compares capitals, and
    would read every row there is. The ledger's names have an index of their own: `bots.gate.recipients.addressed_as`.
    """
    return Q(username__lower=plain_username(username), username__gt="")
