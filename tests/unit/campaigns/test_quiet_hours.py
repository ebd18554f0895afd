from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from campaigns.policy.quiet_hours import quiet_until


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
        ("2026-03-29T00:30", "22:00", "02:30", "2026-03-29T01:00"),
        ("2026-03-29T01:00", "22:00", "02:30", None),
        # They begin at a time that the clocks skip: they begin when the gap ends.
        ("2026-03-29T00:59:59", "02:30", "05:00", None),
        ("2026-03-29T01:00", "02:30", "05:00", "2026-03-29T03:00"),
        # Both ends are skipped: that night has no such hours.
        ("2026-03-29T00:59:59", "02:15", "02:45", None),
        ("2026-03-29T01:00", "02:15", "02:45", None),
        # The clocks go back at 01:00 UTC on 25 October: that night is an hour longer.
        ("2026-10-24T21:00", "22:00", "08:00", "2026-10-25T07:00"),
        # They end at a time that comes twice: at its last.
        ("2026-10-25T00:15", "22:00", "02:30", "2026-10-25T01:30"),
        ("2026-10-25T00:45", "22:00", "02:30", "2026-10-25T01:30"),
        ("2026-10-25T01:15", "22:00", "02:30", "2026-10-25T01:30"),
        ("2026-10-25T01:30", "22:00", "02:30", None),
        # They begin at a time that comes twice: at its first, and go on through the second pass.
        ("2026-10-25T00:29:59", "02:30", "05:00", None),
        ("2026-10-25T00:30", "02:30", "05:00", "2026-10-25T04:00"),
        ("2026-10-25T01:15", "02:30", "05:00", "2026-10-25T04:00"),
        ("2026-10-25T00:20", "02:15", "02:45", "2026-10-25T01:45"),
        ("2026-10-25T01:50", "02:15", "02:45", None),
    ],
)
def test_quiet_until(now, start, end, until):
    assert berlin(now, start, end) == (utc(until) if until else None)


# Nights on which clocks change: by an hour at 2 or 3; by half an hour; at midnight, which one of them lacks; none.
NIGHTS = [
    ("Europe/Berlin", "2026-03-28T12:00"),
    ("Europe/Berlin", "2026-10-24T12:00"),
    ("America/New_York", "2026-03-07T20:00"),
    ("America/New_York", "2026-10-31T20:00"),
    ("Australia/Lord_Howe", "2026-04-04T03:00"),
    ("Australia/Lord_Howe", "2026-10-03T03:00"),
    ("America/Santiago", "2026-04-04T16:00"),
    ("America/Santiago", "2026-09-05T16:00"),
    ("Asia/Kolkata", "2026-03-28T12:00"),
]
HOURS = [("22:00", "08:00"), ("22:00", "02:30"), ("02:15", "02:45"), ("01:30", "05:00"), ("23:30", "00:30")]


@pytest.mark.parametrize(("zone", "evening"), NIGHTS)
@pytest.mark.parametrize(("start", "end"), HOURS)
def test_a_night_has_one_stretch_of_quiet_whose_end_is_known_from_its_first_minute(zone, evening, start, end):
    """Minute by minute: the returned end is the first minute that is not quiet."""
    hours: dict[str, Any] = {"time_zone": zone, "start": time.fromisoformat(start), "end": time.fromisoformat(end)}
    minutes = [utc(evening) + timedelta(minutes=minute) for minute in range(24 * 60)]
    ends = [quiet_until(minute, **hours) for minute in minutes]
    stretches, last = [], None
    for minute, until in zip(minutes, ends, strict=True):
        if until is not None and last is None:
            stretches.append(until)
        if last is not None:
            assert until == (last if minute < last else None)
        last = until
    assert len(stretches) <= 1
    skipped = (zone, start, end) in (("Europe/Berlin", "02:15", "02:45"), ("America/New_York", "02:15", "02:45"))
    assert stretches or (skipped and "-03-" in evening)


def test_no_hours_no_quiet():
    assert quiet_until(utc("2026-01-10T03:00"), time_zone="Europe/Berlin", start=None, end=None) is None


def test_an_unknown_zone_is_an_error():
    with pytest.raises(KeyError):
        quiet_until(utc("2026-01-10T03:00"), time_zone="Mars/Olympus", start=time(1), end=time(5))
