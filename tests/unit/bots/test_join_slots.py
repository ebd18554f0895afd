"""When an account may ask to join its next chats."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bots.chats.joins import DAY, HOUR, join_slots

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def limits(settings: Any) -> None:
    settings.JOINS_PER_HOUR, settings.JOINS_PER_DAY = 3, 5


def test_an_account_that_asked_to_join_nothing_joins_up_to_the_limit_now_and_the_others_an_hour_later():
    slots = join_slots([], now=NOW, count=5)
    assert [slot.at for slot in slots] == [NOW, NOW, NOW, NOW + HOUR, NOW + HOUR]
    assert slots[0].limit == "" and slots[3].limit == "the account joins at most 3 chats an hour"


def test_the_limits_count_the_last_hour_and_the_last_day():
    requested = [NOW - 50 * MINUTE, NOW - 40 * MINUTE, NOW - 30 * MINUTE]
    assert join_slots(requested, now=NOW, count=1)[0].at == NOW + 10 * MINUTE
    assert join_slots(requested[:2], now=NOW, count=1)[0].at == NOW
    a_day = [NOW - DAY + number * HOUR for number in range(1, 6)]
    [slot] = join_slots(a_day, now=NOW, count=1)
    assert slot.at == NOW + HOUR and slot.limit == "the account joins at most 5 chats a day"
