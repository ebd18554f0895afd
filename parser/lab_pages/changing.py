"""The page that shows what a change of the keywords would do, and saves it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_http_methods

from campaigns.models import Campaign
from panelkit import rights
from panelkit.errors import NotPossible
from parser.keywords.grammar import escape
from parser.lab.effects import ChangeEffect, change_effect
from parser.lab.keyword_lists import KeywordList, ListDiff, ListedKeyword, from_json, keyword_list, list_diff
from parser.lab.keyword_saving import keyword_problem, keywords_change, keywords_restore
from parser.lab_pages.base import ADD_KEYWORD, DELETE_KEYWORD, campaign_of, lab_page, lab_url
from parser.lab_pages.keyword_forms import ANYWAY
from parser.models import Hit, Keyword, KeywordVersion

# Hits and golden texts of each kind that the page lists.
MOST_LISTED = 20


@dataclass(frozen=True)
class WantedChange:
    """What the operator wants: a new keyword, a keyword to remove, or an earlier version. `hit` is where it began."""

    kind: str
    text: str
    remove: bool
    version: KeywordVersion | None
    hit: str

    @property
    def keyword(self) -> ListedKeyword:
        return ListedKeyword(self.kind, self.text)

    def __bool__(self) -> bool:
        return bool(self.text or self.version)

    def result(self, before: KeywordList) -> KeywordList:
        if self.version is not None:
            return from_json(self.version.keywords)
        changed = set(before) - {self.keyword} if self.remove else {*before, self.keyword}
        return tuple(sorted(changed, key=lambda keyword: (keyword.minus, keyword.text)))


@require_http_methods(["GET", "HEAD", "POST"])
def change_view(request: HttpRequest, campaign_id: UUID) -> HttpResponse:
    """GET: an empty form, or the effect of restoring `version`. POST: show the effect, or save with `step=save`."""
    campaign = campaign_of(request, campaign_id, to_change=ADD_KEYWORD)
    wanted = wanted_change(request, campaign_id)
    problem = _problem(wanted)
    if request.method == "POST" and request.POST.get("step") == "save" and wanted and not problem:
        try:
            return _save(request, campaign, wanted)
        except NotPossible as refusal:
            # Also when the golden set has changed since the effect was shown: the page then shows the new effect.
            messages.error(request, str(refusal))
    before = keyword_list(campaign_id=campaign_id)
    change = list_diff(before, wanted.result(before)) if wanted and not problem else ListDiff((), ())
    effect = change_effect(campaign_id=campaign_id, before=before, after=wanted.result(before)) if change else None
    context = {
        "wanted": wanted,
        "problem": problem,
        "nothing": bool(wanted) and not problem and not change,
        "diff": change,
        "effect": _listed(effect) if effect is not None else None,
        "anyway": ANYWAY,
        "kinds": Keyword.Kind.choices,
        "keywords": before,
        "back": f"{lab_url('judge', campaign_id)}?hit={wanted.hit}" if wanted.hit else lab_url("judge", campaign_id),
    }
    return lab_page(request, campaign, "change", context)


def _save(request: HttpRequest, campaign: Campaign, wanted: WantedChange) -> HttpResponse:
    """Raises NotPossible, or GoldenSetBroken unless the operator has confirmed that."""
    common: dict[str, Any] = {"by": str(request.user), "despite_golden_set": ANYWAY in request.POST}
    if wanted.version is not None or wanted.remove:
        rights.require(request.user, DELETE_KEYWORD)
    if wanted.version is not None:
        keywords_restore(version_id=wanted.version.pk, **common)
        messages.success(request, f"Version {wanted.version.number} is restored.")
        return HttpResponseRedirect(lab_url("versions", campaign.pk))
    add, remove = ((), (wanted.keyword,)) if wanted.remove else ((wanted.keyword,), ())
    keywords_change(campaign_id=campaign.pk, add=add, remove=remove, **common)
    messages.success(request, f"The keyword “{wanted.keyword}” is {'removed' if wanted.remove else 'saved'}.")
    if wanted.hit:
        return HttpResponseRedirect(f"{lab_url('judge', campaign.pk)}?hit={wanted.hit}")
    return HttpResponseRedirect(lab_url("change", campaign.pk))


def wanted_change(request: HttpRequest, campaign_id: UUID) -> WantedChange:
    given = request.POST if request.method == "POST" else request.GET
    kind = given.get("kind", "")
    version = given.get("version", "")
    # Texts come by POST alone, because addresses end up in logs. A selected part of a message has no operators.
    text = " ".join(request.POST.get("text", "").split())
    if request.POST.get("literal"):
        text = escape(text)
    found = (
        KeywordVersion.objects.filter(campaign_id=campaign_id, pk=int(version[:18])) if version.isdecimal() else None
    )
    return WantedChange(
        kind=kind if kind in Keyword.Kind.values else Keyword.Kind.PLUS,
        text=text,
        remove=bool(given.get("remove")),
        version=found.first() if found is not None else None,
        hit=_hit_id(given.get("hit", "")),
    )


def _hit_id(given: str) -> str:
    try:
        return str(UUID(given)) if given else ""
    except ValueError:
        return ""


def _problem(wanted: WantedChange) -> str:
    """Why the new keyword cannot be stored; "" if it can."""
    return keyword_problem(wanted.keyword) if wanted.text and not wanted.remove else ""


def _listed(effect: ChangeEffect) -> dict[str, Any]:
    """The effect for the template, with lists of limited length."""
    return {
        "read": effect.read,
        "lost": _some(effect.lost),
        "lost_number": len(effect.lost),
        "lost_by_verdict": effect.lost_by_verdict,
        "gained": _some(effect.gained),
        "gained_number": len(effect.gained),
        "golden": effect.golden,
        "most": MOST_LISTED,
    }


def _some(hits: Sequence[Hit]) -> Sequence[Hit]:
    return hits[:MOST_LISTED]
