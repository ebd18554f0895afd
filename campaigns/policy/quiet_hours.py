"""Computes when a campaign's quiet hours end. Pure functions: the clock is an argument."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError


def is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def validate_time_zone(name: str) -> None:
    """A validator of a model's field: raises ValidationError for an unknown time zone."""
    if not is_time_zone(name):
        raise ValidationError(f'There is no time zone "{name}": enter an IANA name such as Europe/Berlin.')


def quiet_until(now: datetime, *, time_zone: str, start: time | None, end: time | None) -> datetime | None:
    """The time, in UTC, at which the present quiet hours end; None if `now` is not within quiet hours.

    `start` and `end` are wall-clock times in `time_zone`. If `end` is before `start`, the quiet hours run over
    midnight; if both are equal, there are none. Quiet hours are never interrupted: when the clocks go back over `start`
    or `end`, they last from the first time that it is `start` to the last time that it is `end`. If the clocks skip
    `start` or `end`, the moment of the change counts. Raises ZoneInfoNotFoundError or ValueError for an unknown time
    zone.
    """
    if start is None or end is None or start == end:
        return None
    zone = ZoneInfo(time_zone)
    local = now.astimezone(zone)
    today = local.date()
    if _between_both(now, today, end, zone):
        return _last(today, end, zone)
    if not _inside(local.time(), start, end) and not _between_both(now, today, start, zone):
        return None
    day = today if local.time() < end else today + timedelta(days=1)
    return _last(day, end, zone)


def _inside(at: time, start: time, end: time) -> bool:
    if start < end:
        return start <= at < end
    return at >= start or at < end


def _folds(day: date, at: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The two instants, in UTC, that a wall-clock time may stand for (`fold` 0 and 1).

    They are equal for an ordinary time, in order for a time that occurs twice, and in reverse order, on both sides of
    the gap, for a time that the clocks skip.
    """
    first, second = (datetime.combine(day, at, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    return first, second


def _between_both(now: datetime, day: date, at: time, zone: ZoneInfo) -> bool:
    """Whether the wall-clock time `at` occurs twice on this day and `now` is between the two."""
    first, second = _folds(day, at, zone)
    return first <= now < second


def _last(day: date, at: time, zone: ZoneInfo) -> datetime:
    first, second = _folds(day, at, zone)
    if first <= second:
        return second
    # A skipped time: the two instants are on both sides of the clock change, which is at a whole second.
    before, after = second, first
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
