"""Interprets a list's search terms: an id or a @name is looked up, anything else is searched for in texts."""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib.admin.utils import get_fields_from_path
from django.db.models import IntegerField, Model, Q, UUIDField

# What PostgreSQL's bigint holds.
_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)


def meant_by(term: str, *, model: type[Model], fields: Sequence[str], name_lookup: str) -> Q | None:
    """The rows that an id or a @name names, by indexes: a search in texts reads the table as a whole. None when the
    term is neither, or no field of the search can hold it.

    Ids are looked up in the fields with a `=`, names in those called username, as `name_lookup` ("lower", "upper") says
    that their indexes have them.
    """
    text = term.strip()
    found = Q()
    if text.startswith("@"):
        name = getattr(text[1:], name_lookup)()
        for place in (field for field in fields if field.endswith("username")):
            found |= Q(**{f"{place}__{name_lookup}": name, f"{place}__gt": ""})
    elif (value := _id_of(text)) is not None:
        kind = UUIDField if isinstance(value, UUID) else IntegerField
        for place in (field[1:] for field in fields if field.startswith("=")):
            if isinstance(get_fields_from_path(model, place)[-1], kind):
                found |= Q(**{place: value})
    return found or None


def _id_of(text: str) -> Any:
    if _NUMBER.fullmatch(text):
        return int(text)
    try:
        return UUID(text)
    except ValueError:
        return None
