"""The page of a hit: its message with the places of the keywords that made it a hit."""

from django.template.loader import render_to_string

from parser.keywords.explaining import Explanation, TermMatch
from parser.lab.keyword_lists import keyword_list
from parser.lab.marking import pieces
from parser.lab.trying import Trial
from parser.lab_pages.judging import TriedText
from parser.models import Hit


def hit_explained(hit: Hit) -> str:
    """The marked message with the reasons for the hit, and whether the present keywords match it, as HTML."""
    present = Trial(keyword_list(campaign_id=hit.campaign_id), campaign_id=hit.campaign_id).explain(hit.text)
    reasons = _as_recorded(hit) if hit.reasons else present
    context = {"tried": TriedText(hit.text, pieces(hit.text, reasons), reasons), "present": present}
    return render_to_string("parser/lab/hit.html", context)


def _as_recorded(hit: Hit) -> Explanation:
    """What the keywords of that time found. Hits of older releases have no reasons."""
    terms = [
        TermMatch(reason["term"], tuple((start, end) for start, end in reason["spans"]), reason["rule"])
        for reason in hit.reasons
    ]
    return Explanation(True, tuple(terms), (), ())
