"""A campaign's keywords as a value that can be compared, changed and stored."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from parser.models import Keyword


@dataclass(frozen=True, order=True)
class ListedKeyword:
    """`kind` is one of `Keyword.Kind`."""

    kind: str
    text: str

    @property
    def minus(self) -> bool:
        return self.kind == Keyword.Kind.MINUS

    def __str__(self) -> str:
        return f"{'−' if self.minus else ''}{self.text}"


KeywordList = tuple[ListedKeyword, ...]


@dataclass(frozen=True)
class ListDiff:
    added: KeywordList
    removed: KeywordList

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


def sorted_list(keywords: Iterable[ListedKeyword]) -> KeywordList:
    """Plus keywords first, each kind in the order of its texts, each keyword once."""
    return tuple(sorted(set(keywords), key=lambda keyword: (keyword.minus, keyword.text)))


def keyword_list(*, campaign_id: UUID) -> KeywordList:
    """The campaign's stored keywords."""
    rows = Keyword.objects.filter(campaign_id=campaign_id).values_list("kind", "text")
    return sorted_list(ListedKeyword(kind, text) for kind, text in rows)


def list_diff(before: Collection[ListedKeyword], after: Collection[ListedKeyword]) -> ListDiff:
    return ListDiff(sorted_list(set(after) - set(before)), sorted_list(set(before) - set(after)))


def as_json(keywords: KeywordList) -> list[dict[str, str]]:
    return [{"kind": keyword.kind, "text": keyword.text} for keyword in keywords]


def from_json(stored: Iterable[dict[str, Any]]) -> KeywordList:
    return sorted_list(ListedKeyword(str(entry["kind"]), str(entry["text"])) for entry in stored)
