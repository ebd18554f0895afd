"""The pages on which operators judge hits and try texts."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_http_methods

from panelkit.labels import page_of
from parser.keywords.explaining import Explanation
from parser.lab.keyword_lists import keyword_list
from parser.lab.marking import Piece, pieces
from parser.lab.trying import Trial
from parser.lab.verdicts import hits_to_judge, next_to_judge, verdict_set, verdict_withdraw
from parser.lab_pages.base import JUDGE, campaign_of, lab_page, lab_url
from parser.models import Hit, Verdict
from parser.selectors import hit_change

# The number of waiting hits is counted up to this.
_MOST_COUNTED = 1000
# The limits of the page with pasted texts.
MOST_TEXTS, LONGEST_TEXT = 200, 10_000
_UNDO = "undo"
GONE = "This hit is no longer there. Its data may have been erased."


@dataclass(frozen=True)
class TriedText:
    """A text, marked, with the reasons why it is a hit or not."""

    text: str
    pieces: list[Piece]
    explanation: Explanation


def tried(text: str, trial: Trial) -> TriedText:
    explanation = trial.explain(text)
    return TriedText(text, pieces(text, explanation), explanation)


@require_http_methods(["GET", "HEAD", "POST"])
def judge_view(request: HttpRequest, campaign_id: UUID) -> HttpResponse:
    """Show a hit: `hit`, or the next one after `after`, or the newest without a verdict. POST: a verdict on `hit`."""
    campaign = campaign_of(request, campaign_id, to_change=JUDGE)
    if request.method == "POST":
        return HttpResponseRedirect(_judged(request, campaign_id))
    chosen = _hit(campaign_id, request.GET.get("hit", ""))
    after = _hit(campaign_id, request.GET.get("after", ""))
    hit = chosen or next_to_judge(campaign_id=campaign_id, after=after)
    number = hits_to_judge(campaign_id=campaign_id)[: _MOST_COUNTED + 1].count()
    context: dict[str, Any] = {
        "waiting": f"{_MOST_COUNTED}+" if number > _MOST_COUNTED else number,
        "none": not Hit.objects.filter(campaign_id=campaign_id).exists(),
        "last": Verdict.objects.filter(hit=after).first() if after is not None else None,
        "undo": _UNDO,
    }
    if hit is not None:
        context |= _shown(hit)
    return lab_page(request, campaign, "judge", context)


def _judged(request: HttpRequest, campaign_id: UUID) -> str:
    """Record the verdict; the address of the page to show next."""
    here = lab_url("judge", campaign_id)
    hit, value = _hit(campaign_id, request.POST.get("hit", "")), request.POST.get("value", "")
    if hit is None:
        messages.warning(request, GONE)
        return here
    if value == _UNDO:
        verdict_withdraw(hit_id=hit.pk)
        return f"{here}?hit={hit.pk}"
    if value not in Verdict.Value.values:
        messages.error(request, "Choose one of the verdicts.")
        return f"{here}?hit={hit.pk}"
    verdict_set(hit_id=hit.pk, value=value, by=str(request.user))
    return f"{here}?after={hit.pk}"


def _shown(hit: Hit) -> dict[str, Any]:
    verdict = Verdict.objects.filter(hit=hit).first()
    return {
        "hit": hit,
        "hit_url": page_of(hit),
        "change": hit_change(hit),
        "tried": tried(hit.text, Trial(keyword_list(campaign_id=hit.campaign_id), campaign_id=hit.campaign_id)),
        "verdict": verdict,
        "choices": [
            {"value": value, "label": label, "key": key, "chosen": verdict is not None and verdict.value == value}
            for key, (value, label) in enumerate(Verdict.Value.choices, start=1)
        ],
    }


def _hit(campaign_id: UUID, given: str) -> Hit | None:
    try:
        number = UUID(given)
    except ValueError:
        return None
    return Hit.objects.select_related("chat").filter(campaign_id=campaign_id, pk=number).first()


@require_http_methods(["GET", "HEAD", "POST"])
def try_view(request: HttpRequest, campaign_id: UUID) -> HttpResponse:
    """Explain pasted texts. They are sent by POST, because addresses end up in logs; nothing is stored."""
    campaign = campaign_of(request, campaign_id)
    given = request.POST.get("texts", "")
    texts = texts_of(given)
    trial = Trial(keyword_list(campaign_id=campaign_id), campaign_id=campaign_id)
    context = {
        "given": given,
        "results": [tried(text[:LONGEST_TEXT], trial) for text in texts[:MOST_TEXTS]],
        "left_out": max(len(texts) - MOST_TEXTS, 0),
        "keywords": len(trial.keywords.terms),
        "most": MOST_TEXTS,
    }
    return lab_page(request, campaign, "try", context)


def texts_of(given: str) -> list[str]:
    """The pasted texts: separated by empty lines if there are any, or else one on each line."""
    lines = given.replace("\r\n", "\n").strip()
    parts = lines.split("\n\n") if "\n\n" in lines else lines.split("\n")
    return [part.strip() for part in parts if part.strip()]
