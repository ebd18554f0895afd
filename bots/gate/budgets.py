"""The budgets of one claim: locks their rows and counts from the ledger (`counted_at`) what is left of each.

The locks last until the claiming transaction ends, so that two claims never use the same remainder of a budget.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from bots.gate.budget_cache import BudgetCache, TailRequest, process_cache
from bots.gate.recipients import Recipient, new_contacts, recipients_of
from bots.gate.row_locks import select
from bots.gate.rules import FullBudget
from bots.gate.windows import Source, Window
from bots.models import Delivery
from campaigns.models import Budget

Scope = Budget.Scope

_NAMES = {
    Scope.TEAM: "the team",
    Scope.CAMPAIGN: "campaign “{delivery.campaign}”",
    Scope.BOT: "{delivery.bot}",
    Scope.CHAT: "chat “{delivery.chat}”",
    Scope.PEER: "this person",
}


@dataclass(frozen=True)
class Subject:
    """The object of one scope that a message counts for.

    `keys` are the keys by which budgets may name the object. `sources` are where the ledger has its messages; they
    identify the object.
    """

    keys: frozenset[str]
    sources: tuple[Source, ...]


def subject_of(scope: str, key: object) -> Subject:
    return Subject(frozenset({str(key)}), (Source(scope, str(key)),))


def recipient_subject(person: Recipient) -> Subject:
    """The person, with messages sent to the id and, from before the id was known, to the usernames."""
    by_id = [str(person.id)] if person.id is not None else []
    names = sorted(person.names)
    sources = [Source("peer", key) for key in by_id] + [Source("name", name) for name in names]
    return Subject(frozenset([*by_id, *(name.lower() for name in names)]), tuple(sources))


def what_of(budget: Budget) -> str:
    """The kind of messages that the budget counts, as the end of its name in a sentence."""
    if budget.counts == Budget.Counts.NEW_CONTACTS:
        return " for new contacts"
    return f" for {budget.purpose.replace('_', ' ')} messages" if budget.purpose else ""


def window_of(budget: Budget, subject: Subject, now: datetime) -> Window:
    return Window(
        sources=subject.sources,
        purpose=budget.purpose,
        new_contacts=budget.counts == Budget.Counts.NEW_CONTACTS,
        since=now - timedelta(seconds=budget.window_seconds),
    )


@dataclass
class _Tail:
    """The part of a window that decides about the next few messages.

    `times` are the times of the counted messages at the positions `limit - len(times) + 1` to `limit`, newest first,
    None for positions that the ledger does not fill. The budget is full when position `limit` has a time. Each message
    that the batch adds moves the times one position on.
    """

    times: list[datetime | None] = field(default_factory=list)

    def frees(self) -> datetime | None:
        return self.times[-1] if self.times else None

    def add(self, now: datetime) -> None:
        self.times = [now, *self.times[:-1]]


class BudgetBook:
    """The budgets of one claiming transaction.

    Create the book, then call `open` with the time of the claim. Call `full` for a delivery, and `count` for each one
    that is allowed. The number of queries does not depend on the numbers of deliveries and budgets.
    """

    def __init__(self, deliveries: Sequence[Delivery], *, lock: bool = True) -> None:
        """Lock every budget that concerns these deliveries until the transaction ends.

        Without `lock` the results are true at this moment only, for previews.
        """
        self._deliveries = deliveries
        self._people = recipients_of(deliveries)
        self._opening = new_contacts(deliveries, self._people)
        self._subjects = {delivery.id: dict(self._subjects_of(delivery)) for delivery in deliveries}
        self._locked = lock
        self._budgets = self._find(lock)
        self._now: datetime | None = None
        self._tails: dict[tuple[int, tuple[Source, ...]], _Tail] = {}

    def open(self, now: datetime) -> None:
        """Read the windows as of `now`, which the caller must have read from the database after creating the book."""
        self._now = now
        windows = {(budget.pk, subject.sources): (budget, subject) for budget, subject in self._all_concerning()}
        requests = []
        for budget, subject in windows.values():
            window, depth = window_of(budget, subject, now), min(self._depth, budget.limit)
            requests.append(TailRequest(budget.pk, budget.window_seconds, window, budget.limit, depth))
        # The cache is valid only while this transaction has the locks.
        tails = (process_cache if self._locked else BudgetCache()).tails(requests, now)
        for key, request, times in zip(windows, requests, tails, strict=True):
            self._tails[key] = _Tail([*times, *[None] * (request.depth - len(times))])

    def full(self, delivery: Delivery) -> tuple[FullBudget, ...]:
        found = []
        for budget, subject in self._concerning(delivery):
            frees = self._tails[budget.pk, subject.sources].frees()
            if frees is None and budget.limit:
                continue
            until = None if frees is None else frees + timedelta(seconds=budget.window_seconds)
            name = _NAMES[Scope(budget.scope)].format(delivery=delivery) + what_of(budget)
            found.append(FullBudget(name, budget.limit, budget.window_seconds, until))
        return tuple(found)

    def count(self, delivery: Delivery) -> None:
        assert self._now is not None
        for budget, subject in self._concerning(delivery):
            self._tails[budget.pk, subject.sources].add(self._now)

    def opens_contact(self, delivery: Delivery) -> bool:
        """Whether the delivery is its bot's first message to the person, and not a reply."""
        return delivery.id in self._opening

    @cached_property
    def _depth(self) -> int:
        """The most messages that a batch counts: one of each bot."""
        return len({delivery.bot_id for delivery in self._deliveries})

    def _subjects_of(self, delivery: Delivery) -> Iterator[tuple[str, Subject]]:
        yield Scope.TEAM, subject_of(Scope.TEAM, "")
        yield Scope.CAMPAIGN, subject_of(Scope.CAMPAIGN, delivery.campaign_id)
        yield Scope.BOT, subject_of(Scope.BOT, delivery.bot_id)
        if delivery.chat_id is not None:
            yield Scope.CHAT, subject_of(Scope.CHAT, delivery.chat_id)
        elif delivery.id in self._people:
            yield Scope.PEER, recipient_subject(self._people[delivery.id])

    def _find(self, lock: bool) -> list[Budget]:
        """The budgets, locked in the order of their ids, which prevents deadlocks."""
        keys = {key for subjects in self._subjects.values() for subject in subjects.values() for key in subject.keys}
        lock_rows = "FOR UPDATE" if lock else ""
        return select(Budget, f"WHERE key = ANY(%s) ORDER BY id {lock_rows}", [["", *keys]])

    def _concerning(self, delivery: Delivery) -> Iterator[tuple[Budget, Subject]]:
        subjects = self._subjects[delivery.id]
        for budget in self._budgets:
            subject = subjects.get(budget.scope)
            if subject is None or budget.key not in {"", *subject.keys}:
                continue
            if budget.purpose not in ("", delivery.purpose):
                continue
            if budget.counts == Budget.Counts.NEW_CONTACTS and not self.opens_contact(delivery):
                continue
            yield budget, subject

    def _all_concerning(self) -> Iterator[tuple[Budget, Subject]]:
        for delivery in self._deliveries:
            yield from self._concerning(delivery)
