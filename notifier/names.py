"""What the rooms above call the things whose ids stand in events: titles say their names."""

from collections.abc import Callable
from uuid import UUID

# Called with an id; None when there is no such thing.
Namer = Callable[[UUID], str | None]

_namers: dict[str, Namer] = {}


def register(field: str, namer: Namer) -> None:
    """A room names the things whose ids events carry in `field`."""
    _namers[field] = namer


def name_of(field: str, value: object) -> str:
    """The name of the thing with the id `value`; the value itself when nobody knows it."""
    namer, thing = _namers.get(field), _uuid(value)
    name = namer(thing) if namer is not None and thing is not None else None
    return name or str(value)


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None
