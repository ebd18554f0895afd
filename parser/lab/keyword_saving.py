"""Every change of a campaign's keywords: its version, and the question whether the golden set may break.

All doors (the campaign's page, the keyword's page, the seed file, the lab, a restored version) change keywords inside
`keywords_changing`.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction

from campaigns.models import Campaign
from messaging.database.locks import rows_lock
from panelkit.errors import NotPossible
from parser.lab.golden import GoldenChange, golden_change, golden_result, golden_texts
from parser.lab.keyword_lists import (
    KeywordList,
    ListDiff,
    ListedKeyword,
    as_json,
    from_json,
    keyword_list,
    list_diff,
    sorted_list,
)
from parser.models import Keyword, KeywordVersion


class GoldenSetBroken(NotPossible):
    """The change gives golden texts an unwanted answer that had the wanted one."""

    def __init__(self, change: GoldenChange) -> None:
        super().__init__(golden_warning(change))
        self.change = change


def golden_warning(change: GoldenChange) -> str:
    """What breaks, as a sentence with the recall and the precision before and after."""
    number = len(change.broken)
    texts = "1 golden text gets" if number == 1 else f"{number} golden texts get"
    return (
        f"{texts} the wrong answer with this change. Recall {_percent(change.before.recall)} → "
        f"{_percent(change.after.recall)}, precision {_percent(change.before.precision)} → "
        f"{_percent(change.after.precision)}."
    )


@contextmanager
def keywords_changing(*, campaign_ids: Collection[UUID], by: str, restored_from: int | None = None) -> Iterator[None]:
    """A transaction that changes the campaigns' keywords: it ends with one new version of each list that changed.

    A change that was made past this function (SQL, an older release) becomes a version of its own first, without a
    user, so that nobody else's name is written on it.
    """
    with transaction.atomic():
        locked = rows_lock(Campaign.objects.filter(pk__in=campaign_ids))
        for campaign_id in locked:
            _version_record(campaign_id, by="", restored_from=None)
        yield
        for campaign_id in locked:
            _version_record(campaign_id, by=by, restored_from=restored_from)


def keywords_change(
    *,
    campaign_id: UUID,
    by: str,
    add: Collection[ListedKeyword] = (),
    remove: Collection[ListedKeyword] = (),
    despite_golden_set: bool = False,
    restored_from: int | None = None,
) -> ListDiff:
    """Add and remove keywords. Returns what has changed; a keyword that is there already stays.

    Raises NotPossible for a keyword that cannot be stored, and GoldenSetBroken, unless `despite_golden_set`.
    """
    with keywords_changing(campaign_ids=[campaign_id], by=by, restored_from=restored_from):
        before = keyword_list(campaign_id=campaign_id)
        after = sorted_list((set(before) - set(remove)) | set(add))
        change = list_diff(before, after)
        for keyword in change.added:
            if problem := keyword_problem(keyword):
                raise NotPossible(f"{keyword}: {problem}")
        golden_check(campaign_id=campaign_id, before=before, after=after, despite_golden_set=despite_golden_set)
        for keyword in change.removed:
            Keyword.objects.filter(campaign_id=campaign_id, kind=keyword.kind, text=keyword.text).delete()
        Keyword.objects.bulk_create(
            Keyword(campaign_id=campaign_id, kind=keyword.kind, text=keyword.text) for keyword in change.added
        )
    return change


def keywords_restore(*, version_id: int, by: str, despite_golden_set: bool = False) -> ListDiff:
    """Make the keywords of an earlier version the campaign's keywords again."""
    version = KeywordVersion.objects.get(pk=version_id)
    with transaction.atomic():
        rows_lock(Campaign.objects.filter(pk=version.campaign_id))
        wanted, there = from_json(version.keywords), keyword_list(campaign_id=version.campaign_id)
        change = list_diff(there, wanted)
        return keywords_change(
            campaign_id=version.campaign_id,
            by=by,
            add=change.added,
            remove=change.removed,
            despite_golden_set=despite_golden_set,
            restored_from=version.number,
        )


def golden_check(
    *, campaign_id: UUID, before: KeywordList, after: KeywordList, despite_golden_set: bool = False
) -> None:
    """Raises GoldenSetBroken if the change breaks golden texts, unless `despite_golden_set`."""
    if despite_golden_set:
        return
    change = golden_change(campaign_id=campaign_id, before=before, after=after)
    if change.broken:
        raise GoldenSetBroken(change)


def keyword_problem(keyword: ListedKeyword) -> str:
    """Why this keyword cannot be stored; "" if it can."""
    row = Keyword(kind=keyword.kind, text=keyword.text)
    try:
        row.full_clean(exclude=["campaign"], validate_unique=False, validate_constraints=False)
    except ValidationError as problem:
        return " ".join(problem.messages)
    return ""


def _version_record(campaign_id: UUID, *, by: str, restored_from: int | None) -> None:
    """Record the present keywords, unless the latest version has the same ones. The campaign's row is locked."""
    keywords = keyword_list(campaign_id=campaign_id)
    latest = KeywordVersion.objects.filter(campaign_id=campaign_id).order_by("-number").first()
    if (from_json(latest.keywords) if latest is not None else ()) == keywords:
        return
    rows = golden_texts(campaign_id=campaign_id)
    KeywordVersion.objects.create(
        campaign_id=campaign_id,
        number=latest.number + 1 if latest is not None else 1,
        keywords=as_json(keywords),
        golden=golden_result(rows, keywords, campaign_id=campaign_id).score.as_json() if rows else {},
        restored_from=restored_from,
        by=by,
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
