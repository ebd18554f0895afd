"""How many messages were read in watched chats, and why the others were left out."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter

from campaigns.models import Campaign
from messaging.database.clock import database_clock
from panelkit.base import FactAdmin
from panelkit.labels import choice_label
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.registry import Section, add_section
from parser.models import DiscussionPost, ReadTally, WatchedChat
from parser.tallies import DAYS_SHOWN, chats_read

# Watched chats in the section of a campaign's page.
CHATS_SHOWN = 100
_TEMPLATE = "parser/tallies.html"


def _context(watched: Sequence[WatchedChat], more: bool = False) -> dict[str, Any]:
    return {"chats": chats_read(watched=watched, today=database_clock().date()), "days": DAYS_SHOWN, "more": more}


def _of_campaign(campaign: Campaign) -> dict[str, Any]:
    watched = list(campaign.watched_chats.select_related("chat").order_by("chat__key")[: CHATS_SHOWN + 1])
    return _context(watched[:CHATS_SHOWN], more=len(watched) > CHATS_SHOWN)


add_section(Campaign, Section(_TEMPLATE, _of_campaign, name="reading", title="Messages read"))
add_section(WatchedChat, Section(_TEMPLATE, lambda watched: _context([watched])))


@admin.register(ReadTally)
class ReadTallyAdmin(FactAdmin):
    empty_hint = "Messages that parser accounts read are counted here by day and by what became of them."
    list_display = ("day", "bot", "peer_id", "outcome_label", "number")
    list_filter = (("bot", AutocompleteSelectFilter), ("outcome", ChoicesDropdownFilter))
    list_select_related = ("bot",)
    search_fields = ("bot__key", "=peer_id")
    ordering = ("-day", "-id")

    outcome_label = choice_label("outcome")


@admin.register(DiscussionPost)
class DiscussionPostAdmin(FactAdmin):
    empty_hint = "Posts of watched channels, as Telegram forwards them to the discussion groups, are listed here."
    list_display = ("created_at", "peer_id", "message_id")
    list_filter = (("created_at", RangeDateTimeFilter),)
    search_fields = ("=peer_id", "=message_id")
    ordering = ("-created_at",)
