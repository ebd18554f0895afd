"""Filters of the keyword lab's pages."""

from django import template

from parser.lab.effects import verdict_name as name_of_verdict
from parser.models import Hit

register = template.Library()


@register.filter
def share(value: float | None) -> str:
    """A share as a percentage; a dash for None."""
    return "–" if value is None else f"{value:.0%}"


@register.filter
def verdict_name(hit: Hit) -> str:
    return name_of_verdict(hit)
