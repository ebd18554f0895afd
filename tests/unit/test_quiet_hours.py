from datetime import UTC, datetime, time, timedelta

import pytest

from campaigns.quiet_hours import quiet_until


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def berlin(now: str, start: str, end: str) -> datetime | None:
    return quiet_until(
        utc(now), time_zone="Europe/Berlin", start=time.fromisoformat(start), end=time.fromisoformat(end)
    )


@pytest.mark.parametrize(
    ("now", "start", "end", "until"),
    [
        # Winter: Berlin is UTC+1.
        ("2026-01-10T11:59", "13:00", "15:00", None),
        ("2026-01-10T12:00", "13:00", "15:00", "2026-01-10T14:00"),
        ("2026-01-10T13:59:59", "13:00", "15:00", "2026-01-10T14:00"),
        ("2026-01-10T14:00", "13:00", "15:00", None),
        # Over midnight, from either side of it.
        ("2026-01-10T20:59", "22:00", "08:00", None),
        ("2026-01-10T21:00", "22:00", "08:00", "2026-01-11T07:00"),
        ("2026-01-10T23:30", "22:00", "08:00", "2026-01-11T07:00"),
        ("2026-01-11T06:59", "22:00", "08:00", "2026-01-11T07:00"),
        ("2026-01-11T07:00", "22:00", "08:00", None),
        ("2026-01-10T12:00", "22:00", "22:00", None),
        ("2026-01-10T23:30", "00:00", "06:00", "2026-01-11T05:00"),
        ("2026-01-10T22:30", "22:00", "00:00", "2026-01-10T23:00"),
        # The clocks go forward at 01:00 UTC on 29 March: that night is an hour shorter.
        ("2026-03-28T22:00", "22:00", "08:00", "2026-03-29T06:00"),
        # The quiet hours end at a time that the clocks skip: they end when the gap does.
        ("2026-03-29T00:30", "22:00", "02:30", "2026-03-29T01:30"),
        # The clocks go back at 01:00 UTC on 25 October: that night is an hour longer.
        ("2026-10-24T21:00", "22:00", "08:00", "2026-10-25T07:00"),
        # 02:30 comes twice; each time it ends what it finds.
        ("2026-10-25T00:15", "22:00", "02:30", "2026-10-25T00:30"),
        ("2026-10-25T01:15", "22:00", "02:30", "2026-10-25T01:30"),
    ],
)
def test_quiet_until(now, start, end, until):
    assert berlin(now, start, end) == (utc(until) if until else None)


@pytest.mark.parametrize("night", ["2026-03-28T12:00", "2026-10-24T12:00", "2026-06-01T12:00"])
@pytest.mark.parametrize("hours", [("22:00", "08:00"), ("22:00", "02:30"), ("02:15", "02:45"), ("23:59", "00:01")])
def test_the_end_is_always_ahead_and_outside_of_the_quiet_hours(night, hours):
    for minute in range(0, 24 * 60, 3):
        now = utc(night) + timedelta(minutes=minute)
        until = berlin(now.isoformat()[:19], *hours)
        if until is not None:
            assert until > now
            assert berlin(until.isoformat()[:19], *hours) is None


def test_no_hours_no_quiet():
    assert quiet_until(utc("2026-01-10T03:00"), time_zone="Europe/Berlin", start=None, end=None) is None


def test_an_unknown_zone_is_an_error():
    with pytest.raises(KeyError):
        quiet_until(utc("2026-01-10T03:00"), time_zone="Mars/Olympus", start=time(1), end=time(5))
