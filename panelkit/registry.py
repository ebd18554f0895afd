"""What rooms above add to the pages of rooms below, which do not import them.

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
    """Messages that nothing calls back any more, and what is so once they have left."""

    number: int
    then: str


@dataclass(frozen=True)
class Section:
    """A part of a row's page: `template` gets what `look(row)` answers as `section`. One with a `name` costs much to
    read: the page has a link to itself with the section, called `title`."""

    template: str
    look: Callable[[Any], dict[str, Any]]
    name: str = ""
    title: str = ""


@dataclass(frozen=True)
class Link:
    """A button of a row's page that leads to another page, for those who `may` see that one. `url` answers "" for a
    row that has none."""

    label: str
    icon: str
    url: Callable[[Any], str]
    may: Callable[[HttpRequest], bool]


_sections: defaultdict[type[Model], list[Section]] = defaultdict(list)
_links: defaultdict[type[Model], list[Link]] = defaultdict(list)


def add_section(model: type[Model], section: Section) -> None:
    """Show it below the form on the page of a row of `model`. Call it from an admin module."""
    if section not in _sections[model]:
        _sections[model].append(section)


def add_link(model: type[Model], link: Link) -> None:
    """Offer it on the page of a row of `model`. Call it from an admin module."""
    if link not in _links[model]:
        _links[model].append(link)


def sections_of(row: Model, wanted: str) -> list[dict[str, Any]]:
    """`wanted` is the name of the section that was asked for."""
    return [
        {"name": section.name, "title": section.title}
        if section.name and section.name != wanted
        else {"template": section.template, **section.look(row)}
        for section in _sections[type(row)]
    ]


def viewers_of(model: type[Model]) -> Callable[[HttpRequest], bool]:
    """For a `Link` to pages of `model`: Django's right to view it, which the right to change it includes."""
    return lambda request: rights.may_view(request.user, model._meta.label)


def links_of(row: Model, request: HttpRequest) -> list[tuple[Link, str]]:
    """Each with its address."""
    found = [(link, link.url(row)) for link in _links[type(row)] if link.may(request)]
    return [(link, url) for link, url in found if url]


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
