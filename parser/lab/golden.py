"""The golden set: texts with the wanted answer, on which a campaign's keywords are checked whenever they change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from parser.lab.keyword_lists import KeywordList, keyword_list
from parser.lab.trying import Trial
from parser.models import GoldenText, MatchingSettings

# The most texts in a campaign's golden set: each change of a keyword tries all of them.
MOST_GOLDEN_TEXTS = 2000


@dataclass(frozen=True)
class GoldenScore:
    """How keywords do on a golden set. `found` is the number of wanted texts among the `matched` ones."""

    texts: int = 0
    wanted: int = 0
    matched: int = 0
    found: int = 0

    @property
    def recall(self) -> float | None:
        """The share of the wanted texts that match; None without wanted texts."""
        return self.found / self.wanted if self.wanted else None

    @property
    def precision(self) -> float | None:
        """The share of wanted texts among those that match; None if none matches."""
        return self.found / self.matched if self.matched else None

    @property
    def wrong(self) -> int:
        return self.wanted + self.matched - 2 * self.found

    def as_json(self) -> dict[str, int]:
        return {"texts": self.texts, "wanted": self.wanted, "matched": self.matched, "found": self.found}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "GoldenScore":
        return cls(**{name: int(stored.get(name, 0)) for name in ("texts", "wanted", "matched", "found")})


@dataclass(frozen=True)
class GoldenResult:
    """The golden set with one list of keywords: for each text whether it would be a hit."""

    rows: Sequence[GoldenText]
    hits: Sequence[bool]

    @property
    def score(self) -> GoldenScore:
        wanted = [row.wanted for row in self.rows]
        found = sum(hit and want for hit, want in zip(self.hits, wanted, strict=True))
        return GoldenScore(len(self.rows), sum(wanted), sum(self.hits), found)

    @property
    def wrong(self) -> list[GoldenText]:
        return [row for row, hit in zip(self.rows, self.hits, strict=True) if hit != row.wanted]


@dataclass(frozen=True)
class GoldenChange:
    """What a change of the keywords does to the golden set.

    `broken` texts had the wanted answer before the change and do not have it afterwards; `fixed` ones the other way.
    """

    before: GoldenScore
    after: GoldenScore
    broken: Sequence[GoldenText]
    fixed: Sequence[GoldenText]


def golden_texts(*, campaign_id: UUID) -> list[GoldenText]:
    return list(GoldenText.objects.filter(campaign_id=campaign_id).order_by("pk")[:MOST_GOLDEN_TEXTS])


def golden_result(
    rows: Sequence[GoldenText],
    keywords: KeywordList,
    *,
    campaign_id: UUID,
    settings: MatchingSettings | None = None,
) -> GoldenResult:
    """With these matching settings, or the campaign's own. Compiles the keywords only if there are texts."""
    if not rows:
        return GoldenResult((), ())
    trial = Trial(keywords, campaign_id=campaign_id, settings=settings)
    return GoldenResult(rows, [trial.hit(row.text) for row in rows])


def golden_change(*, campaign_id: UUID, before: KeywordList, after: KeywordList) -> GoldenChange:
    """What a change of the keywords does to the golden set."""
    rows = golden_texts(campaign_id=campaign_id)
    old, new = (golden_result(rows, keywords, campaign_id=campaign_id) for keywords in (before, after))
    return _change(old, new)


def golden_settings_change(*, campaign_id: UUID, settings: MatchingSettings) -> GoldenChange:
    """What other matching settings do to the golden set."""
    rows, keywords = golden_texts(campaign_id=campaign_id), keyword_list(campaign_id=campaign_id)
    old = golden_result(rows, keywords, campaign_id=campaign_id)
    return _change(old, golden_result(rows, keywords, campaign_id=campaign_id, settings=settings))


def _change(old: GoldenResult, new: GoldenResult) -> GoldenChange:
    changed = [row for row, was, now in zip(old.rows, old.hits, new.hits, strict=True) if was != now]
    were_wrong = {row.pk for row in old.wrong}
    return GoldenChange(
        old.score,
        new.score,
        broken=[row for row in changed if row.pk not in were_wrong],
        fixed=[row for row in changed if row.pk in were_wrong],
    )
