"""A process's cache of counts of large budget windows, so that not every claim reads a day of the ledger.

A large window is counted once. From then on a claim reads and adds only what has been counted since: what leaves the
window meanwhile is not subtracted, so there may be more room than the cache knows, never less. When that no longer
fits, or after a minute, the window is counted anew.

A count holds for a claim that has locked the budgets: what was counted before is committed, and what will be is counted
later.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from bots.gate.windows import Source, Window, counted, counted_times

Look = tuple[Window, int, int]

# Below this limit, in messages, and this length, in seconds, a window is quickly walked through.
LARGE_LIMIT, LONG_SECONDS = 1000, 300
REMEMBER = timedelta(minutes=1)
# Messages this much older than the count are added once more: the database's clock may be set back a little.
MARGIN = timedelta(seconds=10)
# So many windows are remembered; a team has a few of this size.
MOST = 10_000


class Kept(NamedTuple):
    """Which window: of one budget for one subject, whenever it is looked at."""

    budget_id: int
    seconds: int
    sources: tuple[Source, ...]
    purpose: str
    new_contacts: bool


@dataclass(frozen=True)
class Ask:
    """The counted times from position `limit - depth + 1` to `limit` of a budget's window are wanted."""

    budget_id: int
    seconds: int
    window: Window
    limit: int
    depth: int

    @property
    def kept(self) -> Kept:
        window = self.window
        return Kept(self.budget_id, self.seconds, window.sources, window.purpose, window.new_contacts)

    @property
    def look(self) -> Look:
        return self.window, self.limit - self.depth, self.depth

    @property
    def large(self) -> bool:
        # Under which id or names a person's messages are found may still be learned: theirs are always read.
        lasting = {source.kind for source in self.window.sources}.isdisjoint(("peer", "name"))
        return self.limit >= LARGE_LIMIT and self.seconds >= LONG_SECONDS and lasting


@dataclass(frozen=True)
class _Count:
    at: datetime
    number: int


class Headroom:
    """Of one process; its threads may share it, as their locks keep them apart."""

    def __init__(self) -> None:
        self._counts: dict[Kept, _Count] = {}

    def tails(self, asks: Sequence[Ask], now: datetime) -> list[list[datetime]]:
        """What was asked for, newest first, and fewer times where there are fewer. `now` was read behind the locks."""
        looks = [self._look(ask, now) for ask in asks]
        found = iter(counted_times([look for look in looks if look is not None]))
        answers = [None if look is None else next(found) for look in looks]
        unsure = [n for n, ask in enumerate(asks) if ask.large and answers[n] != []]
        if unsure:
            for number, times in zip(unsure, self._counted([asks[n] for n in unsure], now), strict=True):
                answers[number] = times
        return [times or [] for times in answers]

    def _look(self, ask: Ask, now: datetime) -> Look | None:
        """A small window's tail; of a large one whether what came since leaves room: then nothing is found."""
        if not ask.large:
            return ask.look
        count = self._counts.get(ask.kept)
        if count is None or not timedelta() <= now - count.at <= REMEMBER:
            return None
        room = ask.limit - ask.depth - count.number
        since = max(ask.window.since, count.at - MARGIN)
        return (replace(ask.window, since=since), room, 1) if room >= 0 else None

    def _counted(self, asks: Sequence[Ask], now: datetime) -> list[list[datetime]]:
        fitting = [ask.limit - ask.depth for ask in asks]
        numbers = counted([(ask.window, most + 1) for ask, most in zip(asks, fitting, strict=True)])
        if len(self._counts) > MOST:
            self._counts.clear()
        self._counts |= {ask.kept: _Count(now, number) for ask, number in zip(asks, numbers, strict=True)}
        near = [n for n, most in enumerate(fitting) if numbers[n] > most]
        tails = dict(zip(near, counted_times([asks[n].look for n in near]), strict=True))
        return [tails.get(n, []) for n in range(len(asks))]


headroom = Headroom()
