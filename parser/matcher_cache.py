"""The matchers of campaigns. Each process builds a matcher once, and again when the keywords change."""

from uuid import UUID

from parser.matching import Matcher, Term
from parser.models import Keyword
from parser.selectors import keyword_versions

Version = tuple[int, int]

# One entry per campaign. If two threads build the same matcher, the later one stays.
_built: dict[UUID, tuple[Version, Matcher]] = {}


def matchers_of(*, campaign_ids: list[UUID]) -> dict[UUID, Matcher]:
    """The campaigns' matchers, consistent with the caller's transaction. Makes one aggregate query.

    A campaign without keywords has no matcher.
    """
    versions = keyword_versions(campaign_ids=campaign_ids)
    return {campaign_id: _matcher(campaign_id, version) for campaign_id, version in versions.items()}


def _matcher(campaign_id: UUID, version: Version) -> Matcher:
    known = _built.get(campaign_id)
    if known is not None and known[0] == version:
        return known[1]
    rows = Keyword.objects.filter(campaign_id=campaign_id).order_by("id").values_list("text", "kind")
    matcher = Matcher(Term(text, minus=kind == Keyword.Kind.MINUS) for text, kind in rows)
    _built[campaign_id] = (version, matcher)
    return matcher
