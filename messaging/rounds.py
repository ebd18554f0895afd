"""Rounds: work on rows one after the other. A row that fails does not stop the work on the others."""

import logging
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TypeVar

from django.db import connection

from messaging.database.errors import DATABASE_ERRORS
from messaging.instrumentation.error_names import fault

# Rounds run every few seconds; without this limit a row that always fails would be reported every time.
REPORT_AGAIN_SECONDS = 600.0
# The error of a row whose last attempt recorded no result.
LOST = "an attempt ended without a result, possibly because its worker stopped"
# (kind of item, item, error class) → when the failure was last reported, on time.monotonic().
_reported: dict[tuple[str, str, str], float] = {}

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


class RoundFailed(Exception):
    """Some items of a round failed; the round has processed all others. The cause is the first failure."""


def for_each(items: Iterable[Item], work: Callable[[Item], Result], *, what: str) -> list[Result]:
    """Call `work` for each item and return the results. An item is an id, or its `str` is one.

    `work` must open its own transaction. A failure is logged at once. After all items `RoundFailed` is raised if any
    failed, so that the task of the round becomes a dead letter, which is reported. If an item keeps failing in the same
    way, each process raises that again only every REPORT_AGAIN_SECONDS and logs it in between.

    Errors of the database itself (a deadlock, for example) are raised unchanged after all items, so that the round is
    repeated. If the database connection is lost, the round ends at once, since all other items would fail too.
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
    """Whether the failure has to be reported because it has not been reported lately.

    Errors of the database itself always have to: the round is repeated. A `RoundFailed` of an inner round always has
    to: the inner round raises it only for failures that have to be reported.
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
    """The wait after failed attempt number `attempt`: `first` seconds, then twice as long each time, at most `most`."""
    return timedelta(seconds=min(most, first * 2 ** min(attempt - 1, 60)))


def all_of(*pieces: Callable[[], object]) -> None:
    """Run each function as an item of a round: see `for_each`."""
    for_each([_Named(piece) for piece in pieces], lambda named: named.piece(), what="piece")


class _Named:
    def __init__(self, piece: Callable[[], object]) -> None:
        self.piece = piece

    def __str__(self) -> str:
        inner = getattr(self.piece, "func", self.piece)
        return str(getattr(inner, "__name__", inner))
