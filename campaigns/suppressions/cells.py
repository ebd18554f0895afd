"""Parses the cells of a suppression file: ids and usernames as people and spreadsheets write them.

Cells with a single meaning are accepted. Cells that a spreadsheet has damaged, or that are ambiguous, are refused with
an explanation.
"""

import re

from campaigns.identifiers import is_person_id, is_username
from texts.tables import plain

# Invisible characters around a text: spaces of any width, marks of direction and byte order.
_UNSEEN = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
# How a spreadsheet writes a number as text.
_AS_TEXT = re.compile(r'="([^"]*)"')
_EXPONENT = re.compile(r"[+-]?\d+(?:[.,]\d+)?[eE][+-]?\d+")
# At most two zeros: 123,000 may mean a hundred and twenty-three thousand.
_WHOLE = re.compile(r"(\d+)[.,]0{1,2}")
_GROUPS = re.compile(r"\d{1,3}(?:(?P<by>[ \u00a0\u202f\u2009'’.,])\d{3})(?:(?P=by)\d{3})*")
_LINK = re.compile(
    r"(?:https?://)?(?:www\.)?(?:t|telegram)\.(?:me|dog)/(\w+)/?(?:\?.*)?|tg://resolve/?\?domain=(\w+)",
    re.ASCII | re.IGNORECASE,
)
# Characters of a cell that an error message quotes.
_SHOWN = 40


class Damaged(ValueError):
    """A cell is damaged. The text describes the problem."""


def as_id(text: str) -> int | None:
    """A person's Telegram id, or None for an empty cell. Raises `Damaged`."""
    found = _bare(text)
    if not found:
        return None
    number = _number(found)
    if not is_person_id(number):
        raise Damaged(f"telegram_user_id {found[:_SHOWN]!r} is not the Telegram id of a person")
    return int(number)


def as_username(text: str) -> str:
    """The username without @, also from a link to the person; "" for an empty cell. Raises `Damaged`."""
    found = _bare(text)
    _refuse_error(found, "username")
    link = _LINK.fullmatch(found)
    name = (link[1] or link[2]) if link else found.removeprefix("@")
    if name and not is_username(name):
        hint = ": enter Telegram ids in the column telegram_user_id" if is_person_id(name) else ""
        raise Damaged(f"username {found[:_SHOWN]!r} is not a Telegram username{hint}")
    return name


def _number(text: str) -> str:
    """The digits if the text is a number, otherwise the text unchanged. Raises `Damaged`."""
    _refuse_error(text, "telegram_user_id")
    if _EXPONENT.fullmatch(text):
        raise Damaged(
            f"telegram_user_id {text[:_SHOWN]!r} is damaged: a spreadsheet has rounded the number. Format the column "
            "as text before you enter the ids, and save the file again"
        )
    if whole := _WHOLE.fullmatch(text):
        return whole[1]
    if groups := _GROUPS.fullmatch(text):
        by = groups["by"]
        if by in ".," and text.count(by) == 1:
            raise Damaged(
                f"telegram_user_id {text[:_SHOWN]!r} may be damaged: {by!r} may separate thousands or decimals"
            )
        return text.replace(by, "")
    return text


def _refuse_error(text: str, column: str) -> None:
    if text.startswith("#"):
        raise Damaged(f"{column} {text[:_SHOWN]!r} is damaged: a spreadsheet shows this error instead of a value")


def _bare(text: str) -> str:
    bare = plain(text.strip(_UNSEEN)).strip(_UNSEEN).removeprefix("'").strip()
    return written[1].strip() if (written := _AS_TEXT.fullmatch(bare)) else bare
