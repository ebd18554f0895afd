"""What is left of the budgets, counted from the ledger by `counted_at`.

The rows of the budgets are locked for the claiming transaction, so that two claimers never count the same space twice.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection

from bots.gate import FullBudget
from bots.models import Delivery
from campaigns.models import Budget
from campaigns.selectors import plain_username

# How a message's subject in a scope is found in the ledger.
_COLUMNS = {
    Budget.Scope.TEAM: "%(subject)s = ''",
    Budget.Scope.CAMPAIGN: "campaign_id = %(subject)s::uuid",
    Budget.Scope.BOT: "bot_id = %(subject)s::uuid",
    Budget.Scope.CHAT: "chat_id = %(subject)s::uuid",
    Budget.Scope.PEER: "peer_id = %(subject)s::bigint",
}
_BY_NAME = "chat_id IS NULL AND upper(peer_username) = upper(%(subject)s)"
_NAMES = {
    Budget.Scope.TEAM: "the team",
    Budget.Scope.CAMPAIGN: "campaign “{delivery.campaign}”",
    Budget.Scope.BOT: "{delivery.bot}",
    Budget.Scope.CHAT: "chat “{delivery.chat}”",
    Budget.Scope.PEER: "this person",
}
# The order in which the scopes are asked.
_ORDER = list(_COLUMNS)


def subject_of(delivery: Delivery, scope: str) -> str | None:
    """What the delivery counts against in this scope; None when it has no such thing."""
    if scope == Budget.Scope.TEAM:
        return ""
    if scope == Budget.Scope.CAMPAIGN:
        return str(delivery.campaign_id)
    if scope == Budget.Scope.BOT:
        return str(delivery.bot_id)
    if scope == Budget.Scope.CHAT:
        return str(delivery.chat_id) if delivery.chat_id else None
    if delivery.peer_id is not None:
        return str(delivery.peer_id)
    return plain_username(delivery.peer_username) or None


@dataclass
class _Window:
    """The part of a budget's window that decides about the next few messages.

    `tail` holds the counted times from position `limit - len + 1` to `limit`, newest first: the budget is full when
    position `limit` is taken. Each message that the batch adds moves them down by one.
    """

    tail: list[datetime | None] = field(default_factory=list)

    def frees(self) -> datetime | None:
        return self.tail[-1] if self.tail else None

    def add(self, now: datetime) -> None:
        self.tail = [now, *self.tail[:-1]]


class BudgetBook:
    """The budgets as one claiming transaction sees them. Ask `full` of a delivery, `count` it when it is allowed."""

    def __init__(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        """Locks every budget that could concern these deliveries until the transaction ends."""
        self._now = now
        self._budgets = _locked_budgets()
        self._depth = max(1, len(deliveries))
        self._windows: dict[tuple[int, str], _Window] = {}

    def full(self, delivery: Delivery) -> tuple[FullBudget, ...]:
        found = []
        for budget, subject in self._concerning(delivery):
            frees = self._window(budget, subject).frees()
            if frees is None and budget.limit:
                continue
            until = None if frees is None else frees + timedelta(seconds=budget.window_seconds)
            name = _NAMES[Budget.Scope(budget.scope)].format(delivery=delivery)
            what = f"{name} for {budget.purpose.replace('_', ' ')} messages" if budget.purpose else name
            found.append(FullBudget(what, budget.limit, budget.window_seconds, until))
        return tuple(found)

    def count(self, delivery: Delivery) -> None:
        for budget, subject in self._concerning(delivery):
            self._window(budget, subject).add(self._now)

    def _concerning(self, delivery: Delivery) -> list[tuple[Budget, str]]:
        pairs = []
        for scope, budgets in self._budgets.items():
            subject = subject_of(delivery, scope)
            if subject is None:
                continue
            pairs += [
                (budget, subject)
                for budget in budgets
                if budget.key in ("", subject) and budget.purpose in ("", delivery.purpose)
            ]
        return pairs

    def _window(self, budget: Budget, subject: str) -> _Window:
        key = (budget.pk, subject)
        if key not in self._windows:
            self._windows[key] = _Window(self._read(budget, subject))
        return self._windows[key]

    def _read(self, budget: Budget, subject: str) -> list[datetime | None]:
        """The counted times at the end of the budget's limit, padded with None where the ledger has fewer."""
        depth = min(self._depth, budget.limit)
        column = _COLUMNS[Budget.Scope(budget.scope)]
        if budget.scope == Budget.Scope.PEER and not subject.lstrip("-").isdigit():
            column = _BY_NAME
        purpose = "AND purpose = %(purpose)s" if budget.purpose else ""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT counted_at FROM bots_delivery WHERE {column} {purpose} AND counted_at > %(since)s "
                "ORDER BY counted_at DESC OFFSET %(skip)s LIMIT %(depth)s",
                {
                    "subject": subject,
                    "purpose": budget.purpose,
                    "since": self._now - timedelta(seconds=budget.window_seconds),
                    "skip": budget.limit - depth,
                    "depth": depth,
                },
            )
            times: list[datetime | None] = [row[0] for row in cursor.fetchall()]
        return times + [None] * (depth - len(times))


def _locked_budgets() -> dict[str, list[Budget]]:
    """All of them: a team has a handful, and one order for everybody excludes deadlocks."""
    by_scope: dict[str, list[Budget]] = defaultdict(list)
    for budget in Budget.objects.select_for_update().order_by("id"):
        by_scope[budget.scope].append(budget)
    return {scope: by_scope[scope] for scope in _ORDER if scope in by_scope}
