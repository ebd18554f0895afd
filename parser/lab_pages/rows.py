"""The lists and pages of verdicts, golden texts and versions of keywords."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from campaigns.pickers import OPEN_CAMPAIGN
from panelkit.base import FactAdmin, PanelAdmin
from panelkit.forms.suitable import SuitableForm, offer
from panelkit.labels import choice_label, text_column
from panelkit.lists.filters import RangeDateTimeFilter
from parser.lab.golden import GoldenScore
from parser.lab.keyword_lists import from_json
from parser.models import Backtest, BacktestMatch, GoldenText, KeywordVersion, Verdict


@admin.register(Verdict)
class VerdictAdmin(FactAdmin):
    empty_hint = "You give verdicts on hits in the keyword lab of a campaign."
    list_display = ("excerpt", "value_label", "keyword", "campaign", "by", "at")
    list_filter = (
        ("value", ChoicesDropdownFilter),
        ("hit__campaign", RelatedDropdownFilter),
        ("at", RangeDateTimeFilter),
    )
    list_select_related = ("hit__campaign",)
    search_fields = ("hit__text", "hit__keyword", "by")
    ordering = ("-at",)

    value_label = choice_label("value", "verdict")

    @display(description="message")
    def excerpt(self, verdict: Verdict) -> str:
        return verdict.hit.text[:80]

    @display(description="keyword", ordering="hit__keyword")
    def keyword(self, verdict: Verdict) -> str:
        return verdict.hit.keyword

    @display(description="campaign", ordering="hit__campaign__name")
    def campaign(self, verdict: Verdict) -> str:
        return str(verdict.hit.campaign)


class GoldenTextForm(SuitableForm):
    suitable = {"campaign": OPEN_CAMPAIGN}


offer(GoldenTextForm, "parser.GoldenText")


@admin.register(GoldenText)
class GoldenTextAdmin(PanelAdmin):
    form = GoldenTextForm
    empty_hint = "The golden set of a campaign contains messages of which you know whether they are to be hits."
    list_display = ("excerpt", "wanted", "campaign", "source_label", "by", "created_at")
    list_filter = ("wanted", ("source", ChoicesDropdownFilter), ("campaign", RelatedDropdownFilter))
    list_select_related = ("campaign",)
    search_fields = ("text", "campaign__name")
    autocomplete_fields = ("campaign",)
    ordering = ("campaign__name", "-created_at")
    fields = ("campaign", "text", "wanted", "source_label", "by", "created_at")
    readonly_fields = ("source_label", "by", "created_at")

    excerpt = text_column("text", "text")
    source_label = choice_label("source")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        if not change:
            obj.by = str(request.user)
        super().save_model(request, obj, form, change)


@admin.register(KeywordVersion)
class KeywordVersionAdmin(FactAdmin):
    empty_hint = "Each change of a campaign's keywords makes a version. You can restore it in the keyword lab."
    list_display = ("number", "campaign", "size", "golden_text", "restored_from", "by", "at")
    list_filter = (("campaign", RelatedDropdownFilter), ("at", RangeDateTimeFilter))
    list_select_related = ("campaign",)
    search_fields = ("campaign__name", "by")
    ordering = ("-at", "-number")
    fields = (("campaign", "number"), ("by", "at"), "restored_from", "listed", "golden_text")
    readonly_fields = ("listed", "golden_text")

    @display(description="keywords")
    def size(self, version: KeywordVersion) -> int:
        return len(version.keywords)

    @display(description="keywords")
    def listed(self, version: KeywordVersion) -> str:
        return ", ".join(map(str, from_json(version.keywords)))

    @display(description="golden set")
    def golden_text(self, version: KeywordVersion) -> str:
        score = GoldenScore.from_json(version.golden)
        return f"{score.texts - score.wrong} of {score.texts} right" if score.texts else ""


@admin.register(Backtest)
class BacktestAdmin(FactAdmin):
    empty_hint = "You start a backtest in the keyword lab, on the page with the effect of a new keyword."
    list_display = ("campaign", "state_label", "days", "lost", "gained", "by", "created_at")
    list_filter = (("state", ChoicesDropdownFilter), ("campaign", RelatedDropdownFilter))
    list_select_related = ("campaign",)
    search_fields = ("campaign__name", "by")
    ordering = ("-created_at",)
    fields = (("campaign", "state_label"), ("days", "by"), ("matched", "lost", "gained"), ("created_at", "ended_at"))
    readonly_fields = ("state_label",)

    state_label = choice_label("state")


@admin.register(BacktestMatch)
class BacktestMatchAdmin(FactAdmin):
    empty_hint = "A backtest stores examples of messages that only one of its two lists of keywords matches."
    list_display = ("excerpt", "gained", "chat", "said_at")
    list_filter = ("gained", ("backtest__campaign", RelatedDropdownFilter))
    list_select_related = ("chat",)
    search_fields = ("text", "=telegram_user_id")
    ordering = ("-said_at",)

    excerpt = text_column("text", "message")
