"""The daily limit of a campaign's second look, in tokens. Tokens are counted before the LLM is asked."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Greatest

from campaigns.models import Campaign
from parser.models import SecondLook


@dataclass(frozen=True)
class Reservation:
    """Tokens that were counted for one request. If the process dies, they stay counted."""

    campaign_id: UUID
    day: date
    tokens: int


def tokens_reserve(*, campaign: Campaign, tokens: int, now: datetime) -> Reservation | None:
    """Count these tokens for the present day of the campaign. None if they exceed the day's limit."""
    day = now.astimezone(ZoneInfo(campaign.time_zone)).date()
    same_day = Q(spent_on=day)
    room = Q(daily_tokens__gte=tokens) & (~same_day | Q(spent_tokens__lte=F("daily_tokens") - tokens))
    counted = SecondLook.objects.filter(room, campaign=campaign).update(
        spent_tokens=Case(When(same_day, then=F("spent_tokens") + tokens), default=Value(tokens)), spent_on=day
    )
    return Reservation(campaign.pk, day, tokens) if counted else None


def tokens_settle(*, reservation: Reservation, used: int) -> None:
    """Replace the reserved tokens by those that were used. A reservation of an earlier day stays as it is."""
    SecondLook.objects.filter(campaign_id=reservation.campaign_id, spent_on=reservation.day).update(
        spent_tokens=Greatest(F("spent_tokens") - reservation.tokens + used, Value(0))
    )
