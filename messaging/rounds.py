"""A round over rows, or over several pieces of work: one that fails keeps none of the others waiting."""

import logging
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TypeVar

from django.db import connection

from messaging.database.errors import DATABASE_ERRORS
from messaging.instrumentation.error_names import fault

# Rounds come every few seconds: a row that nobody can do anything with would leave a record of its failure each time.
REPORT_AGAIN_SECONDS = 600.0
# What failed, and how → when it was reported, on time.monotonic().
_reported: dict[tuple[str, str, str], float] = {}

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


class RoundFailed(Exception):
    """Some items of a round failed, all others had their turn. Its cause is the first failure."""


def for_each(items: Iterable[Item], work: Callable[[Item], Result], *, what: str) -> list[Result]:
    """The results of `work` for each item, which is an id or prints as one. `work` has its own transaction.

    A failure is logged at once. When all had their turn `RoundFailed` is raised if there was any, so that the task of
    the round becomes a dead letter, which reports it; an item that goes on failing in the same way is reported by each
    process every REPORT_AGAIN_SECONDS, and logged in between. The database's own troubles (a deadlock, say) are raised
    as they are, so that the round is repeated; when it is away the round ends at once: the others would fail, too.
    """
    results, failed, known = list[Result](), list[tuple[Item, Exception]](), 0
    for item in items:
        try:
            results.append(work(item))
        except Exception as problem:
            if isinstance(problem, DATABASE_ERRORS) and not connection.is_usable():
                raise
            if _is_news(what, item, problem):
                log.exception("%s %s failed; the round goes on", what, item)
                failed.append((item, problem))
            else:
                log.warning("%s %s fails again: %s", what, item, fault(problem))
                known += 1
    if failed:
        at, first = next((each for each in failed if not isinstance(each[1], DATABASE_ERRORS)), failed[0])
        if isinstance(first, DATABASE_ERRORS):
            raise first
        total = len(results) + len(failed) + known
        how = str(first) if isinstance(first, RoundFailed) else type(first).__name__
        summary = f"{what}: {len(failed)} of {total} failed, the first is {at}: {how}"
        raise RoundFailed(summary) from first
    return results


def _is_news(what: str, item: object, problem: Exception) -> bool:
    """Whether this has not been reported lately. The database's own troubles always are: the round is repeated; and a
    round within this one raises news only.
    """
    if isinstance(problem, (*DATABASE_ERRORS, RoundFailed)):
        return True
    now, key = time.monotonic(), (what, str(item), type(problem).__name__)
    for known in [known for known, at in _reported.items() if now - at > REPORT_AGAIN_SECONDS]:
        del _reported[known]
    is_news = key not in _reported
    _reported.setdefault(key, now)
    return is_news


def backoff(attempt: int, *, first: float, most: float) -> timedelta:
    """How long to wait after the failed attempt of this number: `first` seconds, then twice as long each time, `most`
    in the end."""
    return timedelta(seconds=min(most, first * 2 ** min(attempt - 1, 60)))


def all_of(*pieces: Callable[[], object]) -> None:
    """Run each piece, as `for_each` does with items."""
    for_each([_Named(piece) for piece in pieces], lambda named: named.piece(), what="piece")


class _Named:
    def __init__(self, piece: Callable[[], object]) -> None:
        self.piece = piece

    def __str__(self) -> str:
        inner = getattr(self.piece, "func", self.piece)
        return str(getattr(inner, "__name__", inner))
