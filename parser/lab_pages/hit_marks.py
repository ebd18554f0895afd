"""The page of a hit: its message with the places where the campaign's keywords are in it."""

from django.template.loader import render_to_string

from parser.lab.keyword_lists import keyword_list
from parser.lab.trying import Trial
from parser.lab_pages.judging import tried
from parser.models import Hit


def hit_explained(hit: Hit) -> str:
    """The marked message and the reasons, with the campaign's present keywords, as HTML."""
    trial = Trial(keyword_list(campaign_id=hit.campaign_id), campaign_id=hit.campaign_id)
    return render_to_string("parser/lab/hit.html", {"tried": tried(hit.text, trial)})
