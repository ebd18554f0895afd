"""A process's cache of the message counts of large budget windows, so that not every claim reads a day of the ledger.

A large window is counted once. Later claims read and add only the messages that have been counted since. They do not
subtract messages that leave the window, so the budget may have more left than the cache shows, never less. If the cache
shows nothing left, or after a minute, the window is counted again.

A count is valid only for a claim that has locked the budgets: all earlier messages are committed then, and all later
ones are counted after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from bots.gate.windows import Source, Window, counted, counted_times

Look = tuple[Window, int, int]

# Windows with a lower limit (messages) or a shorter length (seconds) are read quickly and not cached.
LARGE_LIMIT, LONG_SECONDS = 1000, 300
REMEMBER = timedelta(minutes=1)
# Messages up to this much older than the count are added once more, because the database's clock may be set back a
# little.
MARGIN = timedelta(seconds=10)
# The most windows in the cache; a team has only a few large ones.
MOST = 10_000


class CacheKey(NamedTuple):
    """The cache key of a window: one budget for one subject, at any time."""

    budget_id: int
    seconds: int
    sources: tuple[Source, ...]
    purpose: str
    new_contacts: bool


@dataclass(frozen=True)
class TailRequest:
    """A request for the counted times of a budget's window from position `limit - depth + 1` to `limit`."""

    budget_id: int
    seconds: int
    window: Window
    limit: int
    depth: int

    @property
    def cache_key(self) -> CacheKey:
        window = self.window
        return CacheKey(self.budget_id, self.seconds, window.sources, window.purpose, window.new_contacts)

    @property
    def look(self) -> Look:
        return self.window, self.limit - self.depth, self.depth

    @property
    def large(self) -> bool:
        # A person's windows are not cached: their messages may later be found under other ids or usernames too.
        lasting = {source.kind for source in self.window.sources}.isdisjoint(("peer", "name"))
        return self.limit >= LARGE_LIMIT and self.seconds >= LONG_SECONDS and lasting


@dataclass(frozen=True)
class _Count:
    at: datetime
    number: int


class BudgetCache:
    """The cache of one process. Threads may share it, because a claim locks its budgets."""

    def __init__(self) -> None:
        self._counts: dict[CacheKey, _Count] = {}

    def tails(self, requests: Sequence[TailRequest], now: datetime) -> list[list[datetime]]:
        """The requested times of each window, newest first; fewer if the ledger has fewer.

        The caller must have read `now` after taking the locks.
        """
        looks = [self._look(request, now) for request in requests]
        found = iter(counted_times([look for look in looks if look is not None]))
        answers = [None if look is None else next(found) for look in looks]
        unsure = [n for n, request in enumerate(requests) if request.large and answers[n] != []]
        if unsure:
            for number, times in zip(unsure, self._counted([requests[n] for n in unsure], now), strict=True):
                answers[number] = times
        return [times or [] for times in answers]

    def _look(self, request: TailRequest, now: datetime) -> Look | None:
        """The query for a window. For a cached large window it finds nothing if the new messages leave the budget room.

        None if the window has to be counted.
        """
        if not request.large:
            return request.look
        count = self._counts.get(request.cache_key)
        if count is None or not timedelta() <= now - count.at <= REMEMBER:
            return None
        room = request.limit - request.depth - count.number
        since = max(request.window.since, count.at - MARGIN)
        return (replace(request.window, since=since), room, 1) if room >= 0 else None

    def _counted(self, requests: Sequence[TailRequest], now: datetime) -> list[list[datetime]]:
        fitting = [request.limit - request.depth for request in requests]
        numbers = counted([(request.window, most + 1) for request, most in zip(requests, fitting, strict=True)])
        if len(self._counts) > MOST:
            self._counts.clear()
        self._counts |= {
            request.cache_key: _Count(now, number) for request, number in zip(requests, numbers, strict=True)
        }
        near = [n for n, most in enumerate(fitting) if numbers[n] > most]
        tails = dict(zip(near, counted_times([requests[n].look for n in near]), strict=True))
        return [tails.get(n, []) for n in range(len(requests))]


process_cache = BudgetCache()
