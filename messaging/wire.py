"""The types of fields in event bodies, which other programs send too, and checks of what the database can store.

A value that cannot be stored is refused with a reason when the body is decoded, so that the database does not refuse it
later within a handler.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

# PostgreSQL's bigint.
_BIG = 2**63
# Telegram's message ids have 32 bits.
_MESSAGE_IDS = 2**31
# The same limit as in `campaigns.identifiers.is_person_id`.
_PERSON_IDS = 2**53
# Earlier years are mistakes. Python cannot read later years back from the database.
_FIRST_YEAR, _LAST_YEAR = 1970, 9998
# The length of columns for usernames and for ids as text, in characters.
_NAME_LENGTH = 64
# The length of a routing key, in AMQP and in all columns, in characters. A service's name may be as long.
_KEY_LENGTH = 255
# The deepest nesting of a body. JSON columns and their readers have a limit; no event comes near this one.
DEEPEST = 50


def utc(value: datetime) -> datetime:
    """The time with UTC as its time zone if it has none: other programs leave the time zone out."""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    if not _FIRST_YEAR <= aware.year <= _LAST_YEAR:
        raise ValueError(f"its year is not between {_FIRST_YEAR} and {_LAST_YEAR}")
    return aware


def _number_to_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _none_to_empty(value: object) -> object:
    return "" if value is None else value


def _username(value: str) -> str:
    plain = value.strip().removeprefix("@")
    if len(plain) > _NAME_LENGTH:
        raise ValueError(f"has {len(plain)} characters; the maximum is {_NAME_LENGTH}")
    return plain


Time = Annotated[datetime, AfterValidator(utc)]
# An id as text; some programs send it as a number.
IdText = Annotated[str, Field(max_length=_NAME_LENGTH), BeforeValidator(_number_to_text)]
ServiceName = Annotated[str, Field(max_length=_KEY_LENGTH)]
# A username without @; empty if the field is null.
Username = Annotated[str, AfterValidator(_username), BeforeValidator(_none_to_empty)]
ChatId = Annotated[int, Field(ge=-_BIG, lt=_BIG)]
MessageId = Annotated[int, Field(gt=0, lt=_MESSAGE_IDS)]
PersonId = Annotated[int, Field(gt=0, lt=_PERSON_IDS)]


def storable(text: str) -> str:
    """The text in a form that PostgreSQL can store: NUL characters and lone surrogates are escaped."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def unfit_key(routing_key: str) -> str:
    """Why an event with this routing key is refused; empty if it is not. A replay's key comes from a header."""
    if len(routing_key) > _KEY_LENGTH:
        return f"has {len(routing_key)} characters; the maximum is {_KEY_LENGTH}"
    return _text_problem(routing_key)


def unstorable(value: Any, depth: int = 0) -> str:
    """Why PostgreSQL could not store this value of a JSON body; empty if it could."""
    if isinstance(value, str):
        return _text_problem(value)
    if isinstance(value, float):
        return "" if math.isfinite(value) else "contains a number that is infinite or not a number"
    if not isinstance(value, Mapping | list):
        return ""
    if depth == DEEPEST:
        return f"is nested deeper than {DEEPEST} levels"
    inner = [*value.keys(), *value.values()] if isinstance(value, Mapping) else value
    return next(filter(None, (unstorable(item, depth + 1) for item in inner)), "")


def _text_problem(text: str) -> str:
    if "\0" in text:
        return "contains a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "contains half of a surrogate pair"
    return ""
