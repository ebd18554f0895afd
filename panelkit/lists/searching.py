"""Interprets a list's search term: ids and @names are looked up, other terms are searched for in texts."""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib.admin.utils import get_fields_from_path
from django.db.models import IntegerField, Model, Q, UUIDField

# As many digits as surely fit into PostgreSQL's bigint.
_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)


def meant_by(term: str, *, model: type[Model], fields: Sequence[str], name_lookup: str) -> Q | None:
    """A condition for the rows with the id or @name `term`. None if the term is neither, or if no field can contain it.

    The condition uses indexes, while a search in texts reads the whole table. Ids are looked up in the fields with a
    leading `=`. Names are looked up in the fields whose names end in `username`, by their index on `name_lookup`
    ("lower" or "upper").
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
