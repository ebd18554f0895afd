"""The admin page of repeated messages, and how the page of a hit shows them."""

from django.contrib import admin
from django.db.models import Count
from unfold.contrib.filters.admin import AutocompleteSelectFilter, RelatedDropdownFilter

from panelkit.base import FactAdmin
from panelkit.lists.filters import RangeDateTimeFilter
from parser.models import Hit, HitRepeat

# Chats that the page of a hit names.
CHATS_SHOWN = 20


def repeated_in(hit: Hit) -> str:
    """The chats in which the person wrote the same text, with the number of messages."""
    counted = hit.repeats.values("chat__title", "chat__key").annotate(number=Count("id")).order_by("-number")
    chats = [(row["chat__title"] or row["chat__key"], row["number"]) for row in counted[: CHATS_SHOWN + 1]]
    named = [title if number == 1 else f"{title} ({number} times)" for title, number in chats[:CHATS_SHOWN]]
    return ", ".join(named + ["…"] * (len(chats) > CHATS_SHOWN)) or "no other chat"


@admin.register(HitRepeat)
class HitRepeatAdmin(FactAdmin):
    empty_hint = "If a person writes the same text in several chats, the first message is the hit. The others are here."
    list_display = ("said_at", "hit", "chat", "message_id")
    list_filter = (
        ("hit__campaign", RelatedDropdownFilter),
        ("chat", AutocompleteSelectFilter),
        ("said_at", RangeDateTimeFilter),
    )
    list_select_related = ("hit__chat", "chat")
    search_fields = ("hit__text", "hit__username", "=hit__telegram_user_id")
    ordering = ("-created_at",)
