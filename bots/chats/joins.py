"""Paces joins: an account sends requests to join only so many chats an hour and a day. Restarts do not start over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from bots.models import JoinRequest
from messaging.database.clock import database_clock

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class JoinSlot:
    """When the account may send its next request, and which limit sets this time; `limit` is "" if none does."""

    at: datetime
    limit: str = ""


def join_slots(requested: Sequence[datetime], *, now: datetime, count: int) -> list[JoinSlot]:
    """The next `count` slots of an account that sent requests at these times (ascending)."""
    times, slots = list(requested), list[JoinSlot]()
    for _ in range(count):
        slot = max((JoinSlot(now), *_limits(times)), key=lambda slot: slot.at)
        slots.append(slot)
        times.append(slot.at)
    return slots


def _limits(times: Sequence[datetime]) -> list[JoinSlot]:
    limits = ((settings.JOINS_PER_HOUR, HOUR, "an hour"), (settings.JOINS_PER_DAY, DAY, "a day"))
    return [
        JoinSlot(times[-most] + window, f"the account joins at most {most} {'chat' if most == 1 else 'chats'} {name}")
        for most, window, name in limits
        if len(times) >= most
    ]


def join_claim(*, bot_id: UUID, chat_id: UUID) -> float:
    """Claim a slot for a request to join the chat; call it directly before the request.

    Returns 0 if the account may send the request now, otherwise the seconds until its next slot. Another attempt at the
    same chat within a day needs no further slot.
    """
    now = database_clock()
    latest = dict(JoinRequest.objects.filter(bot_id=bot_id, at__gt=now - DAY).values_list("chat_id", "at"))
    if chat_id in latest:
        return 0.0
    [slot] = join_slots(sorted(latest.values()), now=now, count=1)
    if slot.at > now:
        return (slot.at - now).total_seconds()
    request = JoinRequest(bot_id=bot_id, chat_id=chat_id, at=now)
    JoinRequest.objects.bulk_create(
        [request], update_conflicts=True, unique_fields=["bot", "chat"], update_fields=["at"]
    )
    return 0.0
