"""The addresses of the keyword lab, which stand among those of the pages of keywords."""

from django.contrib.admin import AdminSite
from django.urls import URLPattern, path

from campaigns.models import Campaign
from panelkit.registry import Link, add_link
from parser.lab_pages.backtesting import backtest_view
from parser.lab_pages.base import lab_url, may_view_lab
from parser.lab_pages.changing import change_view
from parser.lab_pages.golden_pages import golden_export_view, golden_view
from parser.lab_pages.judging import judge_view, try_view
from parser.lab_pages.reports import precision_view, suggestions_view, versions_view

VIEWS = {
    "judge": ("", judge_view),
    "try": ("try/", try_view),
    "change": ("change/", change_view),
    "backtest": ("backtest/", backtest_view),
    "golden": ("golden/", golden_view),
    "golden_export": ("golden/export/", golden_export_view),
    "precision": ("precision/", precision_view),
    "suggestions": ("suggestions/", suggestions_view),
    "versions": ("versions/", versions_view),
}

add_link(Campaign, Link("Keyword lab", "science", lambda campaign: lab_url("judge", campaign.pk), may_view_lab))


def lab_urls(site: AdminSite) -> list[URLPattern]:
    return [
        path(f"lab/<uuid:campaign_id>/{route}", site.admin_view(view), name=f"parser_keyword_lab_{name}")
        for name, (route, view) in VIEWS.items()
    ]
