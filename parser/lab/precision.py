"""How many of the judged hits are good, by keyword and by campaign, with confidence intervals."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, F, Func, JSONField

from parser.models import Verdict

# The standard normal quantile of a two-sided interval of 95 %.
_Z = 1.959964


@dataclass(frozen=True)
class JudgedShare:
    """The verdicts on the hits of one keyword or campaign. `low` and `high` bound the precision at 95 %."""

    name: str
    key: str
    counts: dict[str, int]

    @property
    def judged(self) -> int:
        return sum(self.counts.values())

    @property
    def good(self) -> int:
        return self.counts.get(Verdict.Value.GOOD, 0)

    @property
    def precision(self) -> float:
        return self.good / self.judged

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.good, self.judged)


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """The score interval of a proportion at 95 % (Wilson 1927). Without trials it is (0, 1).

    For few trials it keeps its coverage where the textbook interval fails (Brown, Cai & DasGupta 2001).
    """
    if not trials:
        return 0.0, 1.0
    share, square = successes / trials, _Z * _Z
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    spread = math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials)) * _Z / (1 + square / trials)
    return max(0.0, centre - spread), min(1.0, centre + spread)


def precision_of_terms(*, campaign_id: UUID) -> list[JudgedShare]:
    """The verdicts by keyword, most judged first. A hit counts for each keyword that matched."""
    judged = Verdict.objects.filter(hit__campaign_id=campaign_id)
    rows = judged.values("value", "hit__keyword", terms=_terms()).annotate(number=Count("pk"))
    return _shares(
        (term, term, row["value"], row["number"])
        for row in rows
        for term in dict.fromkeys(row["terms"] or [row["hit__keyword"]])
    )


def _terms() -> Func:
    """The texts of the keywords in a hit's reasons; empty for hits of older releases."""
    return Func(
        F("hit__reasons"), template="jsonb_path_query_array(%(expressions)s, '$[*].term')", output_field=JSONField()
    )


def precision_of_campaigns() -> list[JudgedShare]:
    """The verdicts by campaign, most judged first."""
    rows = Verdict.objects.values("value", name=F("hit__campaign__name"), key=F("hit__campaign_id"))
    counted = rows.annotate(number=Count("pk"))
    return _shares((row["name"], str(row["key"]), row["value"], row["number"]) for row in counted)


def _shares(rows: Iterable[tuple[str, str, str, int]]) -> list[JudgedShare]:
    names, counts = dict[str, str](), dict[str, Counter[str]]()
    for name, key, value, number in rows:
        names[key] = name
        counts.setdefault(key, Counter())[value] += number
    shares = [JudgedShare(names[key], key, dict(found)) for key, found in counts.items()]
    return sorted(shares, key=lambda share: (-share.judged, share.name))
