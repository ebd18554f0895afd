"""Looks up the names and campaigns of the objects whose ids are in the bodies of events.

Each room registers its kinds of objects once, in its app's `ready`. Dead letters show the campaign of a message; the
notifier's titles show names. The order of registration has no effect.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from texts.json_text import from_json

# The field of an event's body that contains a campaign's id.
CAMPAIGN_FIELD = "campaign_id"

Names = Callable[[Collection[UUID]], Mapping[UUID, str]]
CampaignOf = Callable[[UUID], UUID | None]


@dataclass(frozen=True)
class Kind:
    names: Names
    campaign_of: CampaignOf | None


# The kinds by the field of an event's body that contains the id.
_kinds: dict[str, Kind] = {}


def register(*fields: str, names: Names, campaign_of: CampaignOf | None = None) -> None:
    """Register a kind of objects, whose ids events have in `fields`.

    `names(ids)` returns the names of those that exist. `campaign_of(id)` returns the object's campaign, or None when
    there is no such object; leave it out for objects that belong to no campaign.
    """
    _kinds.update(dict.fromkeys(fields, Kind(names, campaign_of)))


def names_of(field: str, ids: Collection[UUID]) -> Mapping[UUID, str]:
    """The names of the objects whose ids events have in `field`; unknown ids are left out."""
    return _kinds[field].names(ids) if field in _kinds else {}


def name_of(field: str, value: object) -> str:
    """The name of the object with the id `value`, or `value` as text when it is unknown."""
    thing = _uuid(value)
    name = names_of(field, [thing]).get(thing) if thing is not None else None
    return name or str(value)


def campaign_of(body: str) -> UUID | None:
    """The id of the campaign that a message body concerns, or None. The body may be any text.

    The body's own campaign id counts. Without one, it is the campaign of the first registered field, in alphabetical
    order, that has an id.
    """
    try:
        fields = from_json(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    if CAMPAIGN_FIELD in fields:
        return _uuid(fields[CAMPAIGN_FIELD])
    for field, kind in sorted(_kinds.items(), key=lambda entry: entry[0]):
        thing = _uuid(fields.get(field))
        if kind.campaign_of is not None and thing is not None:
            return kind.campaign_of(thing)
    return None


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
