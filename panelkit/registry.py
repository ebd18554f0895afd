"""The registry of inlines, sections and links that rooms add to the pages of lower rooms.

Admin modules register when `coolthing_site.urls` has Django discover them, in the order of INSTALLED_APPS. A page shows
inlines, sections and links in the order of registration.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.options import InlineModelAdmin
from django.db.models import Model
from django.http import HttpRequest

from panelkit import rights

_inlines: defaultdict[type[Model], list[type[InlineModelAdmin]]] = defaultdict(list)


def add_inline(model: type[Model], inline: type[InlineModelAdmin]) -> None:
    """Show `inline` on the page of `model`. Call it from an admin module, once for each inline."""
    if inline not in _inlines[model]:
        _inlines[model].append(inline)


@dataclass(frozen=True)
class Leaving:
    """The number of messages that are still being sent and can no longer be cancelled, and what is true afterwards."""

    number: int
    then: str


@dataclass(frozen=True)
class Section:
    """A part of a row's page: `template`, rendered with the result of `look(row)` as `section`.

    A section with a `name` is slow to read, so the page shows it only after a click on a link with the text `title`.
    """

    template: str
    look: Callable[[Any], dict[str, Any]]
    name: str = ""
    title: str = ""


@dataclass(frozen=True)
class Link:
    """A button on a row's page that leads to another page, for users for whom `may(request)` is true.

    `url(row)` returns the address, or "" to show no button.
    """

    label: str
    icon: str
    url: Callable[[Any], str]
    may: Callable[[HttpRequest], bool]


_sections: defaultdict[type[Model], list[Section]] = defaultdict(list)
_links: defaultdict[type[Model], list[Link]] = defaultdict(list)


def add_section(model: type[Model], section: Section) -> None:
    """Show `section` below the form on the page of a row of `model`. Call it from an admin module."""
    if section not in _sections[model]:
        _sections[model].append(section)


def add_link(model: type[Model], link: Link) -> None:
    """Show `link` on the page of a row of `model`. Call it from an admin module."""
    if link not in _links[model]:
        _links[model].append(link)


def sections_of(row: Model, wanted: str) -> list[dict[str, Any]]:
    """The template contexts of the row's sections. `wanted` is the name of the slow section to show."""
    return [
        {"name": section.name, "title": section.title}
        if section.name and section.name != wanted
        else {"template": section.template, **section.look(row)}
        for section in _sections[type(row)]
    ]


def viewers_of(model: type[Model]) -> Callable[[HttpRequest], bool]:
    """The `may` of a `Link` to pages of `model`: whether the user has the permission to view or change it."""
    return lambda request: rights.may_view(request.user, model._meta.label)


def links_of(row: Model, request: HttpRequest) -> list[tuple[Link, str]]:
    """The row's links that the user may see, with their addresses."""
    found = [(link, link.url(row)) for link in _links[type(row)] if link.may(request)]
    return [(link, url) for link, url in found if url]


_leaving: dict[type[Model], Callable[[Any], Leaving | None]] = {}


def add_leaving(model: type[Model], look: Callable[[Any], Leaving | None]) -> None:
    """Show the messages that are still being sent on the page of a row of `model` that was stopped.

    `look(row)` returns them, or None for a row that was not stopped.
    """
    _leaving[model] = look


def leaving_of(row: Model) -> Leaving | None:
    """The row's messages that are still being sent; None if there are none."""
    look = _leaving.get(type(row))
    leaving = look(row) if look is not None else None
    return leaving if leaving is not None and leaving.number else None


def inlines_of(model: type[Model]) -> list[type[InlineModelAdmin]]:
    return list(_inlines[model])
