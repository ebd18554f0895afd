"""The pages that only show something: precision, suggested minus words, versions of the keywords."""

from itertools import pairwise
from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from parser.lab.golden import GoldenScore
from parser.lab.keyword_lists import from_json, keyword_list, list_diff
from parser.lab.precision import JudgedShare, precision_of_campaigns, precision_of_terms
from parser.lab.suggestions import minus_suggestions
from parser.lab_pages.base import campaign_of, lab_page, lab_url
from parser.models import KeywordVersion, Verdict

_PER_PAGE = 25
# From so many verdicts on, an interval is narrow enough to compare keywords.
ENOUGH_VERDICTS = 30


@require_safe
def precision_view(request: HttpRequest, campaign_id: UUID) -> HttpResponse:
    campaign = campaign_of(request, campaign_id)
    context = {
        "terms": [_share(share) for share in precision_of_terms(campaign_id=campaign_id)],
        "campaigns": [
            _share(share) | {"url": lab_url("precision", UUID(share.key)), "here": share.key == str(campaign_id)}
            for share in precision_of_campaigns()
        ],
        "values": Verdict.Value.labels,
        "enough": ENOUGH_VERDICTS,
    }
    return lab_page(request, campaign, "precision", context)


def _share(share: JudgedShare) -> dict[str, Any]:
    low, high = share.interval
    return {
        "name": share.name,
        "judged": share.judged,
        "counts": [share.counts.get(value, 0) for value in Verdict.Value.values],
        "precision": f"{share.precision:.0%}",
        "low": f"{low:.0%}",
        "high": f"{high:.0%}",
        # In units of an SVG that is 100 wide.
        "bar": {"x": round(low * 100, 1), "width": round((high - low) * 100, 1), "at": round(share.precision * 100, 1)},
    }


@require_safe
def suggestions_view(request: HttpRequest, campaign_id: UUID) -> HttpResponse:
    campaign = campaign_of(request, campaign_id)
    judged = Verdict.objects.filter(hit__campaign_id=campaign_id)
    context = {
        "suggestions": minus_suggestions(campaign_id=campaign_id),
        "bad": judged.exclude(value=Verdict.Value.GOOD).count(),
        "good": judged.filter(value=Verdict.Value.GOOD).count(),
    }
    return lab_page(request, campaign, "suggestions", context)


@require_safe
def versions_view(request: HttpRequest, campaign_id: UUID) -> HttpResponse:
    """The versions, newest first, each with its difference from the one before."""
    campaign = campaign_of(request, campaign_id)
    versions = KeywordVersion.objects.filter(campaign_id=campaign_id).order_by("-number")
    page = Paginator(versions, _PER_PAGE).get_page(request.GET.get("page"))
    shown = list(page)
    oldest = shown[-1].number if shown else 0
    before = versions.filter(number__lt=oldest).first()
    now = keyword_list(campaign_id=campaign_id)
    chain = [*shown, before]
    context = {
        "page": page,
        "versions": [_version(version, older, now) for version, older in pairwise(chain) if version is not None],
    }
    return lab_page(request, campaign, "versions", context)


def _version(version: KeywordVersion, older: KeywordVersion | None, now: Any) -> dict[str, Any]:
    keywords = from_json(version.keywords)
    score = GoldenScore.from_json(version.golden)
    return {
        "row": version,
        "size": len(keywords),
        "diff": list_diff(from_json(older.keywords) if older is not None else (), keywords),
        "is_present": keywords == now,
        "score": score if score.texts else None,
    }
