"""How long a server asks to wait, by its own clock."""

from datetime import UTC, datetime

import pytest

from outgoing.retry_after import MOST_SECONDS, seconds_to_wait

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
TEN_MINUTES_LATER = "Fri, 27 Nov 2026 12:10:00 GMT"


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        (None, 600),
        ("Fri, 27 Nov 2026 12:09:00 GMT", 60),
        ("Fri, 27 Nov 2026 11:50:00 GMT", 1200),
        ("Fri, 27 Nov 2026 12:20:00 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", MOST_SECONDS),
        ("yesterday", 600),
        ("", 600),
    ],
)
def test_a_date_is_one_of_the_servers_clock(date: str | None, seconds: float):
    headers = {"Retry-After": TEN_MINUTES_LATER} | ({"Date": date} if date is not None else {})
    assert seconds_to_wait(headers, now=NOW) == seconds


def test_seconds_are_seconds_whatever_the_servers_clock_tells():
    assert seconds_to_wait({"retry-after": "7", "date": TEN_MINUTES_LATER}, now=NOW) == 7
