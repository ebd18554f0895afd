"""Template tags for labels and durations."""

from typing import Any

from django import template
from django.contrib import admin
from django.db.models.options import Options

from panelkit.labels import VARIANTS, short_choice

register = template.Library()


@register.filter
def variant(value: str) -> str:
    """Unfold's label variant of a state."""
    return VARIANTS.get(value, "default")


@register.filter
def age(seconds: float) -> str:
    """A duration in its largest unit, rounded: 45 s, 1.5 min, 12 min, 3 h, 2 d."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if (count := seconds / size) >= 1:
            return f"{count:.0f} {unit}" if count >= 10 else f"{count:.2g} {unit}"
    return f"{seconds:.0f} s"


@register.filter
def span(seconds: float) -> str:
    """A short duration with three digits: 1.4 ms, 350 ms, 2.41 s, 12 min, 3 h."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 60 else age(seconds)


@register.simple_tag
def instead_of_deleting(opts: "Options[Any]") -> str:
    """The advice of this kind of pages for a row that cannot be deleted."""
    return str(getattr(admin.site.get_model_admin(opts.model), "instead_of_deleting", ""))


register.filter("short_choice", short_choice)
