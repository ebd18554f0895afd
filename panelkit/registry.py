"""What rooms above hang into the pages of rooms below, which do not know them."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.options import InlineModelAdmin
from django.db.models import Model

_inlines: defaultdict[type[Model], list[type[InlineModelAdmin]]] = defaultdict(list)


def add_inline(model: type[Model], inline: type[InlineModelAdmin]) -> None:
    """Show `inline` on the page of `model`. Call it from an admin module, once for each inline."""
    if inline not in _inlines[model]:
        _inlines[model].append(inline)


@dataclass(frozen=True)
class Leaving:
    """Messages that nothing calls back any more, and what is so once they have left."""

    number: int
    then: str


_leaving: dict[type[Model], Callable[[Any], Leaving | None]] = {}


def add_leaving(model: type[Model], look: Callable[[Any], Leaving | None]) -> None:
    """Say on the page of a row of `model` that was stopped what is still leaving; `look` answers None for others."""
    _leaving[model] = look


def leaving_of(row: Model) -> Leaving | None:
    """None unless something is leaving."""
    look = _leaving.get(type(row))
    leaving = look(row) if look is not None else None
    return leaving if leaving is not None and leaving.number else None


def inlines_of(model: type[Model]) -> list[type[InlineModelAdmin]]:
    return list(_inlines[model])
