"""Columns and phrases of the panel: coloured labels of states, times, reasons for waiting, links."""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from django.contrib.admin.utils import quote
from django.db.models import Field, Model
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

# Unfold's label variants by the value of a state, purpose or owner. Other values get a grey label.
VARIANTS = {
    "active": "info",
    "ai": "info",
    "allow": "success",
    "awaiting_approval": "warning",
    "claimed": "primary",
    "banned": "danger",
    "contacting": "info",
    "dead": "danger",
    "deleted": "danger",
    "died_again": "danger",
    "discarded": "default",
    "done": "success",
    "due": "info",
    "edited": "warning",
    "ended": "danger",
    "failed": "danger",
    "finished": "success",
    "handled": "success",
    "human": "warning",
    "minus": "danger",
    "needs_login": "danger",
    "new": "info",
    "not_said": "danger",
    "on_the_way": "info",
    "online": "success",
    "open": "danger",
    "opted_out": "warning",
    "parked": "danger",
    "passed": "success",
    "paused": "warning",
    "playing": "primary",
    "plus": "success",
    "published": "success",
    "put_back": "warning",
    "queued": "info",
    "reacted": "info",
    "refused": "danger",
    "repeated": "warning",
    "replayed": "success",
    "restricted": "danger",
    "running": "success",
    "said": "success",
    "silent": "danger",
    "sending": "primary",
    "sent": "success",
    "starting": "info",
    "talking": "success",
    "unanswered": "warning",
    "unknown": "warning",
    "waited": "warning",
    "waiting": "warning",
}


def short_choice(text: str) -> str:
    """A choice's label without its explanation: "Stale: the conversation moved on" is shown as "Stale"."""
    return str(text).partition(":")[0]


def tag(value: str, text: str = "") -> SafeString:
    """A coloured label, for lists and for read-only fields (where Unfold's own `label=` has no effect)."""
    context = {"type": VARIANTS.get(value, "default"), "text": short_choice(text or value)}
    return render_to_string("unfold/helpers/label.html", context)


def choice_label(field: str, description: str | None = None) -> Callable[[Any, Any], SafeString]:
    """A column (or read-only field) that shows a choice field as a coloured label."""

    @display(description=description or field.replace("_", " "), ordering=field)
    def show(_admin: Any, row: Any) -> SafeString:
        return tag(getattr(row, field), getattr(row, f"get_{field}_display")())

    return show


def moment(at: datetime | None) -> str:
    """A time in the current time zone (UTC), without the zone's name: 2026-11-23 14:05:09. Empty for None."""
    return f"{at.astimezone(timezone.get_current_timezone()):%Y-%m-%d %H:%M:%S}" if at else ""


def moment_with_zone(at: datetime) -> str:
    """A time with its time zone, for sentences: 2026-11-23 14:05:09 UTC."""
    return f"{moment(at)} {at.astimezone(timezone.get_current_timezone()):%Z}"


def waits(reason: str, until: datetime | None) -> str:
    """The reason for a wait and its end, in one line. Empty without a wait."""
    if not reason and not until:
        return ""
    why = reason.rstrip(".") or "waits"
    return f"{why} · until {moment_with_zone(until)}" if until else why


def clipped(text: str, length: int = 80) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"


def text_column(field: str, description: str | None = None, length: int = 80) -> Callable[[Any, Any], str]:
    """A column with the beginning of a long text on one line."""

    @display(description=description or field.replace("_", " "))
    def show(_admin: Any, row: Any) -> str:
        return clipped(getattr(row, field) or "", length)

    return show


def preformatted(text: str) -> SafeString:
    """A block of text with its own line breaks: a traceback, a JSON body."""
    return format_html('<pre class="panel-pre">{}</pre>', text) if text else SafeString("-")


def link_to(row: Model, text: str) -> SafeString:
    """A link to the row's page."""
    return format_html('<a class="text-link" href="{}">{}</a>', page_of(row), text)


@cache
def related_column(field: "Field[Any, Any]") -> Callable[[Any], str]:
    """A column with a link to the row that a foreign key refers to."""

    @display(description=str(field.verbose_name), ordering=field.name)
    def show(row: Any) -> str:
        related = getattr(row, field.name)
        return link_to(related, str(related)) if related is not None else ""

    show.__name__ = field.name
    return show


def page_of(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=(quote(row.pk),))
