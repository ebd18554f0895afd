"""What budgets promise, told by the rows of the ledger alone and without the code that keeps the promise."""

from collections import defaultdict
from collections.abc import Hashable, Mapping
from datetime import datetime, timedelta

from bots.models import Delivery
from campaigns.models import Budget, Purpose

Scope = Budget.Scope


def exceeded(persons: Mapping[str, int]) -> list[str]:
    """The windows, of any budget and wherever they lie, in which more was counted than the limit. `persons`: whose name
    is whose id."""
    counted = list(Delivery.objects.filter(counted_at__isnull=False).order_by("counted_at", "id"))
    return [line for budget in Budget.objects.order_by("id") for line in _exceeded(budget, counted, persons)]


def _exceeded(budget: Budget, counted: list[Delivery], persons: Mapping[str, int]) -> list[str]:
    times: dict[Hashable, list[datetime]] = defaultdict(list)
    met: set[tuple[Hashable, int]] = set()
    for delivery in counted:
        person = delivery.peer_id or persons.get(delivery.peer_username.lower())
        new = person is not None and (delivery.bot_id, person) not in met
        if person is not None:
            met.add((delivery.bot_id, person))
        subject = _subject(budget, delivery, person)
        if subject is None or budget.purpose not in ("", delivery.purpose):
            continue
        if budget.counts == Budget.Counts.NEW_CONTACTS and (not new or delivery.purpose == Purpose.REPLY):
            continue
        assert delivery.counted_at is not None
        times[subject].append(delivery.counted_at)
    window = timedelta(seconds=budget.window_seconds)
    return [
        f"{budget}: {budget.limit + 1} from {first} to {last}"
        for counted_at in times.values()
        for first, last in zip(counted_at, counted_at[budget.limit :], strict=False)
        if last - first < window
    ]


def _subject(budget: Budget, delivery: Delivery, person: int | None) -> Hashable | None:
    """None: the budget does not concern it."""
    subject = {
        Scope.TEAM: "",
        Scope.CAMPAIGN: delivery.campaign_id,
        Scope.BOT: delivery.bot_id,
        Scope.CHAT: delivery.chat_id,
        Scope.PEER: person,
    }[Scope(budget.scope)]
    return subject if budget.key in ("", str(subject)) else None
