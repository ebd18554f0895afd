"""The use of the budgets that concern a campaign, for the campaign's page. Locks nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max

from bots.gate.budgets import Subject, recipient_subject, subject_of, window_of
from bots.gate.recipients import recipients_of
from bots.gate.windows import Total, Window, counted_times, totals
from bots.models import Bot, Delivery
from campaigns.models import Budget, Campaign, Chat

Scope = Budget.Scope
# The most bots, chats and people of a campaign that are shown; the busiest ones are.
MOST = 20


@dataclass(frozen=True)
class Usage:
    """The use of a budget by the object named `of`.

    `more_at` is when the next message leaves the window; None if the window is empty or the limit is 0.
    """

    budget: Budget
    of: str
    used: int
    more_at: datetime | None

    @property
    def left(self) -> int:
        return max(self.budget.limit - self.used, 0)


@dataclass(frozen=True)
class _Part:
    budget: Budget
    of: str
    window: Window


def campaign_usage(*, campaign: Campaign, now: datetime) -> list[Usage]:
    """The use of all budgets that messages of the campaign count against, in the order of scopes.

    For bots, chats and people these are the budgets of those with queued or lately counted messages of the campaign.
    """
    parts = [part for scope in Scope for part in _parts(scope, campaign, now)]
    counted = totals([part.window for part in parts])
    at_limit = _at_limit(parts, counted)
    found = []
    for number, (part, total) in enumerate(zip(parts, counted, strict=True)):
        first = at_limit.get(number, total.oldest)
        more_at = first + _span(part.budget) if first is not None and part.budget.limit else None
        found.append(Usage(part.budget, part.of, total.count, more_at))
    return found


def _parts(scope: Scope, campaign: Campaign, now: datetime) -> list[_Part]:
    of_scope = Budget.objects.filter(scope=scope)
    longest = of_scope.aggregate(longest=Max("window_seconds"))["longest"]
    if longest is None:
        return []
    subjects = _subjects(scope, campaign, now - timedelta(seconds=longest))
    # Do not read all budgets: there may be one for each of many people.
    keys = {"", *(key for _, subject in subjects for key in subject.keys)}
    budgets = list(of_scope.filter(key__in=keys).order_by("window_seconds", "id"))
    return [
        _Part(budget, of, window_of(budget, subject, now))
        for of, subject in subjects
        for budget in budgets
        if budget.key in {"", *subject.keys}
    ]


def _at_limit(parts: Sequence[_Part], counted: Sequence[Total]) -> dict[int, datetime]:
    """For each full budget the time of the message that must leave the window before another may be sent.

    If the limit was lowered, that is not the oldest message.
    """
    full = [n for n, total in enumerate(counted) if total.count >= parts[n].budget.limit > 0]
    times = counted_times([(parts[n].window, parts[n].budget.limit - 1, 1) for n in full])
    return {number: found[0] for number, found in zip(full, times, strict=True)}


def _span(budget: Budget) -> timedelta:
    return timedelta(seconds=budget.window_seconds)


def _subjects(scope: Scope, campaign: Campaign, since: datetime) -> list[tuple[str, Subject]]:
    """The scope's subjects of the campaign, each with its name."""
    if scope == Scope.TEAM:
        return [("the team", subject_of(scope, ""))]
    if scope == Scope.CAMPAIGN:
        return [("this campaign", subject_of(scope, campaign.id))]
    if scope == Scope.PEER:
        return _persons(campaign, since)
    ids = [key[0] for key in _busiest(campaign, since, f"{scope}_id")]
    rows: dict[object, Bot | Chat] = {}
    rows |= Bot.objects.only("display_name", "key").in_bulk(ids) if scope == Scope.BOT else Chat.objects.in_bulk(ids)
    return [(str(rows[row_id]), subject_of(scope, row_id)) for row_id in ids]


def _persons(campaign: Campaign, since: datetime) -> list[tuple[str, Subject]]:
    """The people of the campaign. A person who is addressed by id and by username occurs once."""
    addressed = _busiest(campaign, since, "peer_id", "peer_username")
    as_deliveries = [Delivery(peer_id=user_id, peer_username=name) for user_id, name in addressed]
    people = recipients_of(as_deliveries)
    found: dict[Subject, str] = {}
    for delivery in as_deliveries:
        name = f"@{delivery.peer_username}" if delivery.peer_username else str(delivery.peer_id)
        found.setdefault(recipient_subject(people[delivery.id]), name)
    return [(name, subject) for subject, name in found.items()]


def _busiest(campaign: Campaign, since: datetime, *fields: str) -> Sequence[tuple[Any, ...]]:
    """The most frequent values of the fields in the campaign's messages, queued or counted after `since`."""
    ours = Delivery.objects.filter(campaign=campaign)
    ours = ours.filter(chat__isnull=fields[0] == "peer_id") if fields[0] != "bot_id" else ours
    found: Counter[tuple[Any, ...]] = Counter()
    for rows in (ours.filter(state=Delivery.State.QUEUED), ours.filter(counted_at__gt=since)):
        for *key, number in rows.values_list(*fields).annotate(n=Count("id")).order_by("-n")[:MOST]:
            found[tuple(key)] += number
    return [key for key, _ in found.most_common(MOST)]
