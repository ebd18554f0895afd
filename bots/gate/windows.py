"""Counts the ledger's messages in the windows of budgets: many windows in one query, each with an index."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

# The condition for each kind of subject in the ledger. Messages to a username without an id are a kind of their own.
_WHERE = {
    "team": "TRUE",
    "campaign": "campaign_id = wanted.key::uuid",
    "bot": "bot_id = wanted.key::uuid",
    "chat": "chat_id = wanted.key::uuid",
    "peer": "peer_id = wanted.key::bigint",
    "name": "peer_id IS NULL AND peer_username <> '' AND upper(peer_username) = wanted.key",
}
# The index over the messages of all bots is on another expression than the other indexes; `bots.models.deliveries`
# explains why.
_AT = dict.fromkeys(_WHERE, "counted_at") | {"team": "(counted_at AT TIME ZONE 'UTC')"}
_SINCE = dict.fromkeys(_WHERE, "wanted.since") | {"team": "(wanted.since AT TIME ZONE 'UTC')"}
_WANTED = (
    "unnest(%s::int[], %s::text[], %s::text[], %s::timestamptz[], %s::int[], %s::int[]) "
    "AS wanted(n, key, purpose, since, skip, take)"
)


class Source(NamedTuple):
    """The messages of one subject: its kind (a key of `_WHERE`) and its key."""

    kind: str
    key: str


@dataclass(frozen=True)
class Window:
    """The messages of one subject that were counted after `since`. An empty `purpose` stands for all purposes.

    A person has several sources; no message belongs to two of them.
    """

    sources: tuple[Source, ...]
    purpose: str
    new_contacts: bool
    since: datetime


@dataclass(frozen=True)
class Total:
    count: int
    oldest: datetime | None


def counted_times(windows: Sequence[tuple[Window, int, int]]) -> list[list[datetime]]:
    """For each (window, skip, take) the times at which its messages were counted, newest first.

    The first `skip` times are left out, and at most `take` are returned.
    """
    requests = []
    for number, (window, skip, take) in enumerate(windows):
        # The newest messages of several sources are known only after the sources have been merged.
        place = (skip, take) if len(window.sources) == 1 else (0, skip + take)
        requests += [(number, window, source, *place) for source in window.sources]
    select = "SELECT wanted.n, found.counted_at FROM {wanted} CROSS JOIN LATERAL (SELECT counted_at {of} "
    select += "ORDER BY {at} DESC OFFSET wanted.skip LIMIT wanted.take) AS found"
    times: list[list[datetime]] = [[] for _ in windows]
    for number, at in _run(select, requests):
        times[number].append(at)
    for number, (window, skip, take) in enumerate(windows):
        times[number].sort(reverse=True)
        if len(window.sources) > 1:
            times[number] = times[number][skip : skip + take]
    return times


def totals(windows: Sequence[Window]) -> list[Total]:
    """The number of messages in each window, and the time at which the oldest of them was counted."""
    select = "SELECT wanted.n, found.number, found.oldest FROM {wanted} CROSS JOIN LATERAL "
    select += "(SELECT count(*) AS number, min(counted_at) AS oldest {of}) AS found"
    found = [Total(0, None)] * len(windows)
    requests = [(number, window, source, 0, 0) for number, window in enumerate(windows) for source in window.sources]
    for number, count, oldest in _run(select, requests):
        known = found[number]
        ends = [at for at in (known.oldest, oldest) if at is not None]
        found[number] = Total(known.count + count, min(ends, default=None))
    return found


def counted(windows: Sequence[tuple[Window, int]]) -> list[int]:
    """The number of messages in each (window, most), counting at most `most` for each of the window's sources.

    The query sorts by time so that PostgreSQL counts in the index and not in the table.
    """
    select = "SELECT wanted.n, found.number FROM {wanted} CROSS JOIN LATERAL (SELECT count(*) AS number FROM "
    select += "(SELECT counted_at {of} ORDER BY {at} DESC LIMIT wanted.take) AS newest) AS found"
    requests = [(n, window, source, 0, most) for n, (window, most) in enumerate(windows) for source in window.sources]
    numbers = [0] * len(windows)
    for n, number in _run(select, requests):
        numbers[n] += number
    return numbers


def _run(select: str, requests: Sequence[tuple[int, Window, Source, int, int]]) -> list[tuple[Any, ...]]:
    """Run one query with a part for each kind of source; the sources are its parameters."""
    # A condition on a column that the index lacks, even if it is always true, makes PostgreSQL fetch each row from the
    # table. So windows with other conditions are other parts.
    groups: dict[tuple[str, bool, bool], list[tuple[Any, ...]]] = defaultdict(list)
    for number, window, source, skip, take in requests:
        row = (number, source.key, window.purpose, window.since, skip, take)
        groups[source.kind, window.new_contacts, bool(window.purpose)].append(row)
    parts, params = [], list[Any]()
    for (kind, new, of_purpose), rows in groups.items():
        opening = " AND opens_contact" if new else ""
        of = f"FROM bots_delivery WHERE {_WHERE[kind]}{opening} AND {_AT[kind]} > {_SINCE[kind]}"
        of += " AND purpose = wanted.purpose" if of_purpose else ""
        parts.append(f"({select.format(wanted=_WANTED, of=of, at=_AT[kind])})")
        params += [list(column) for column in zip(*rows, strict=True)]
    if not parts:
        return []
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), params)
        return cursor.fetchall()
