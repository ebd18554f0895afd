"""The demo's comparison finds every way in which two ledgers can differ."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from coolthing_site.demo.comparison import LedgerMessage, compare, sent_by
from coolthing_site.demo.observe import lowest
from coolthing_site.demo.run import time_zone_at_hour

ONE = LedgerMessage(random_id=1, sender=10, peer=-100, text="hello", message_id=5, reply_to=None)
TWO = LedgerMessage(random_id=2, sender=11, peer=-100, text="hi", message_id=6, reply_to=1)


def test_equal_ledgers_match():
    result = compare([ONE, TWO], [TWO, ONE])
    assert result.matches
    assert result.matched == 2


def test_message_that_telegram_does_not_know_is_missing():
    result = compare([ONE, TWO], [ONE])
    assert not result.matches
    assert len(result.missing) == 1


def test_message_that_we_do_not_know_is_unexpected():
    result = compare([ONE], [ONE, TWO])
    assert not result.matches
    assert len(result.unexpected) == 1


@pytest.mark.parametrize(
    "change", [{"text": "other"}, {"sender": 12}, {"peer": -101}, {"message_id": 7}, {"reply_to": None}]
)
def test_any_field_that_differs_is_told(change):
    result = compare([ONE, TWO], [ONE, replace(TWO, **change)])
    assert not result.matches
    assert len(result.different) == 1


def test_same_words_under_another_random_id_were_said_twice():
    again = replace(ONE, random_id=3, message_id=8)
    result = compare([ONE, again], [ONE, again])
    assert not result.matches
    assert len(result.duplicates) == 1


def test_entries_of_people_are_left_out_and_replies_are_named_by_random_id():
    entry = {"seq": 1, "from_user": 10, "peer": -100, "text": "hello", "reply_to": None, "random_id": 1}
    person = {**entry, "seq": 2, "from_user": 99, "random_id": None, "channel_message_id": 6, "message_ids": {}}
    group = {**entry, "seq": 3, "reply_to": 1, "random_id": 2, "channel_message_id": None, "message_ids": {"10": 3}}
    sent = sent_by({10}, [{**entry, "channel_message_id": 5, "message_ids": {}}, person, group])
    assert sent == [ONE, LedgerMessage(random_id=2, sender=10, peer=-100, text="hello", message_id=3, reply_to=1)]


@pytest.mark.parametrize("utc_hour", range(24))
def test_zone_shows_the_wanted_hour_now(utc_hour):
    now = datetime(2026, 11, 23, utc_hour, 17, tzinfo=UTC)
    assert now.astimezone(ZoneInfo(time_zone_at_hour(3, now))).hour == 3


def test_a_message_that_stays_is_left_in_its_queue_and_one_of_beats_is_not() -> None:
    left: dict[str, int] = {}
    for maintenance, llm in ((1, 2), (0, 1), (1, 1)):
        left = lowest(left, {"maintenance_queue": maintenance, "llm_queue": llm})
    assert left == {"maintenance_queue": 0, "llm_queue": 1}
