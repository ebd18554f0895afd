"""Which campaign a message is about, as far as its body tells; the rooms above know what leads to a campaign."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from texts.json_text import from_json

# A campaign's id as the bodies of events name it.
CAMPAIGN_FIELD = "campaign_id"

Finder = Callable[[UUID], UUID | None]
Names = Callable[[Iterable[UUID]], dict[UUID, str]]

_finders: dict[str, Finder] = {}
_names: list[Names] = []


def register_finder(field: str, finder: Finder) -> None:
    """`finder(id)` gives the campaign of the thing whose id events carry in `field`."""
    _finders[field] = finder


def register_names(names: Names) -> None:
    """`names(ids)` gives the names of the campaigns that exist."""
    _names[:] = [names]


def campaign_names(ids: Iterable[UUID]) -> dict[UUID, str]:
    """The campaigns' names; those that are unknown are left out."""
    return _names[0](ids) if _names else {}


def campaign_of(body: str) -> UUID | None:
    """The campaign of a message of any shape, or None."""
    try:
        fields = from_json(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    if CAMPAIGN_FIELD in fields:
        return _uuid(fields[CAMPAIGN_FIELD])
    for name, finder in _finders.items():
        thing = _uuid(fields.get(name))
        if thing is not None:
            return finder(thing)
    return None


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
