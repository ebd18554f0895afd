"""Inlines that rooms above hang into the pages of rooms below, which do not know them."""

from collections import defaultdict

from django.contrib.admin.options import InlineModelAdmin
from django.db.models import Model

_inlines: defaultdict[type[Model], list[type[InlineModelAdmin]]] = defaultdict(list)


def add_inline(model: type[Model], inline: type[InlineModelAdmin]) -> None:
    """Show `inline` on the page of `model`. Call it from an admin module, once for each inline."""
    if inline not in _inlines[model]:
        _inlines[model].append(inline)


def inlines_of(model: type[Model]) -> list[type[InlineModelAdmin]]:
    return list(_inlines[model])
