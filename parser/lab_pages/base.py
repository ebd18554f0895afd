"""What the pages of a campaign's keyword lab share: addresses, permissions, tabs."""

from typing import Any, NamedTuple
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from campaigns.models import Campaign
from panelkit import rights
from panelkit.labels import page_of

# The models that a visitor of the lab may view. What changes something needs a permission of its own besides.
VIEWED = ("parser.Keyword", "parser.Hit")
JUDGE, BACKTEST = "parser.add_verdict", "parser.add_backtest"
ADD_GOLDEN, DELETE_GOLDEN = "parser.add_goldentext", "parser.delete_goldentext"
ADD_KEYWORD, DELETE_KEYWORD = "parser.add_keyword", "parser.delete_keyword"


class Tab(NamedTuple):
    name: str
    title: str


TABS = (
    Tab("judge", "Judge hits"),
    Tab("try", "Try texts"),
    Tab("change", "New keyword"),
    Tab("backtest", "Backtest"),
    Tab("golden", "Golden set"),
    Tab("precision", "Precision"),
    Tab("suggestions", "Suggestions"),
    Tab("versions", "Versions"),
)


def lab_url(name: str, campaign_id: UUID) -> str:
    return reverse(f"admin:parser_keyword_lab_{name}", args=[campaign_id])


def may_view_lab(request: HttpRequest) -> bool:
    return all(rights.may_view(request.user, model) for model in VIEWED)


def campaign_of(request: HttpRequest, campaign_id: UUID, *, to_change: str = "") -> Campaign:
    """The campaign. A POST request also needs the permission `to_change`. Raises PermissionDenied, Http404."""
    rights.require_view(request.user, VIEWED)
    if request.method == "POST" and to_change:
        rights.require(request.user, to_change)
    return get_object_or_404(Campaign, pk=campaign_id)


def lab_page(request: HttpRequest, campaign: Campaign, tab: str, context: dict[str, Any]) -> HttpResponse:
    """The page of a tab; its template has the tab's name."""
    tabs = [{"name": each.name, "title": each.title, "url": lab_url(each.name, campaign.pk)} for each in TABS]
    whole = {
        **admin.site.each_context(request),
        "title": f"Keyword lab: {campaign}",
        "campaign": campaign,
        "campaign_url": page_of(campaign),
        "tabs": tabs,
        "tab": tab,
        "may": {
            "judge": request.user.has_perm(JUDGE),
            "backtest": request.user.has_perm(BACKTEST),
            "add_keyword": request.user.has_perm(ADD_KEYWORD),
            "delete_keyword": request.user.has_perm(DELETE_KEYWORD),
            "add_golden": request.user.has_perm(ADD_GOLDEN),
            "delete_golden": request.user.has_perm(DELETE_GOLDEN),
        },
        "urls": {each.name: lab_url(each.name, campaign.pk) for each in TABS},
        **context,
    }
    return TemplateResponse(request, f"parser/lab/{tab}.html", whole)
