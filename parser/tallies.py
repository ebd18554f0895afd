"""Counts the messages that were read in watched chats, by what became of them: why a busy chat has few hits.

The counts are written in the transaction that moves the cursors, with one statement for all its messages, so each
message counts once.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q, Sum

from parser.eligibility import ReadOutcome
from parser.models import Hit, ReadTally, WatchedChat
from telegram.types import IncomingMessage

_ADD = """
    INSERT INTO parser_readtally (bot_id, peer_id, day, outcome, number)
    SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::date[], %s::text[], %s::bigint[])
    ON CONFLICT (bot_id, peer_id, day, outcome) DO UPDATE SET number = parser_readtally.number + EXCLUDED.number
"""
# Days that the pages show.
DAYS_SHOWN = 7

_Key = tuple[UUID, int, date, str]


class ReadCounts:
    """The counts of the messages of one transaction."""

    def __init__(self) -> None:
        self._counts: Counter[_Key] = Counter()
        # The messages of an album count as one, which was compared if one of them has a text.
        self._albums: dict[tuple[UUID, int, int], _Key] = {}

    def add(self, bot_id: UUID, message: IncomingMessage, outcome: ReadOutcome) -> None:
        key = (bot_id, message.peer_id, message.sent_at.date(), outcome.value)
        if message.grouped_id is None:
            self._counts[key] += 1
            return
        album = (bot_id, message.peer_id, message.grouped_id)
        if album not in self._albums or outcome != ReadOutcome.NO_TEXT:
            self._albums[album] = key

    def save(self) -> None:
        counts = self._counts + Counter(self._albums.values())
        if counts:
            rows = [(*key, number) for key, number in sorted(counts.items())]
            with connection.cursor() as cursor:
                cursor.execute(_ADD, [list(column) for column in zip(*rows, strict=True)])


def chats_read(*, watched: Collection[WatchedChat], today: date) -> list[dict[str, Any]]:
    """For each of the watched chats what was read in the last days: `compared`, `left_out`, `reasons`, `hits`.

    `watched` are rows of one campaign with their chats. `reasons` are pairs of a sentence and a number, the largest
    number first.
    """
    since = today - timedelta(days=DAYS_SHOWN - 1)
    counts = _counts(watched, since)
    hits = _hits(watched, since)
    return [_line(each, counts.get((each.bot_id, each.chat_id), {}), hits.get(each.chat_id, 0)) for each in watched]


def _line(watched: WatchedChat, counts: Mapping[str, int], hits: int) -> dict[str, Any]:
    others = [(outcome, number) for outcome, number in counts.items() if outcome != ReadOutcome.COMPARED]
    reasons = [(ReadOutcome(outcome).label, number) for outcome, number in sorted(others, key=lambda pair: -pair[1])]
    return {
        "watched": watched,
        "compared": counts.get(ReadOutcome.COMPARED, 0),
        "left_out": sum(number for _, number in reasons),
        "reasons": reasons,
        "hits": hits,
    }


def _counts(watched: Collection[WatchedChat], since: date) -> dict[tuple[UUID, UUID], dict[str, int]]:
    chats = {peer_id: each.chat_id for each in watched for peer_id in each.chat.ids_read}
    rows = ReadTally.objects.filter(
        bot_id__in={each.bot_id for each in watched}, peer_id__in=list(chats), day__gte=since
    )
    found: defaultdict[tuple[UUID, UUID], Counter[str]] = defaultdict(Counter)
    for row in rows.values("bot_id", "peer_id", "outcome").annotate(total=Sum("number")):
        found[row["bot_id"], chats[row["peer_id"]]][row["outcome"]] += row["total"]
    return dict(found)


def _hits(watched: Collection[WatchedChat], since: date) -> dict[UUID, int]:
    of = Q(pk__in=[])
    for each in watched:
        of |= Q(campaign_id=each.campaign_id, chat_id=each.chat_id)
    recent = Hit.objects.filter(of, said_at__gte=datetime.combine(since, time.min, UTC))
    return dict(recent.values_list("chat_id").annotate(number=Count("pk")))
