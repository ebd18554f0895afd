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
    """For a model's field: raises ValidationError."""
    if not is_time_zone(name):
        raise ValidationError(f'No time zone is called "{name}": give one such as Europe/Berlin.')


def quiet_until(now: datetime, *, time_zone: str, start: time | None, end: time | None) -> datetime | None:
    """The instant at which the quiet hours that `now` falls into end, in UTC; None when it falls into none.

    `start` and `end` are wall-clock times in `time_zone`; a range whose end is not after its start runs over
    midnight, and equal ends mean no quiet hours. Each night they are one stretch: where the clocks go back over one
    of the ends they last from the first time that it is `start` to the last time that it is `end`; an end that the
    clocks skip is where the skipped hour is. Raises ZoneInfoNotFoundError or ValueError for an unknown zone.
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
    """Both readings of a wall-clock time: one instant; of a doubled one the two in order; of a skipped one reversed,
    before and after the gap."""
    first, second = (datetime.combine(day, at, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    return first, second


def _between_both(now: datetime, day: date, at: time, zone: ZoneInfo) -> bool:
    """Whether it has been that time, and will be once more today."""
    first, second = _folds(day, at, zone)
    return first <= now < second


def _last(day: date, at: time, zone: ZoneInfo) -> datetime:
    first, second = _folds(day, at, zone)
    if first <= second:
        return second
    # Skipped: the readings lie on both sides of the change. It is on a whole second.
    before, after = second, first
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
