"""Labels in templates, as in columns."""

from django import template

from panelkit.labels import VARIANTS, short_choice

register = template.Library()


@register.filter
def variant(value: str) -> str:
    """Unfold's label variant of a state."""
    return VARIANTS.get(value, "default")


register.filter("short_choice", short_choice)
