"""When a campaign is silent. Pure: the clock is an argument."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo


def quiet_until(now: datetime, *, time_zone: str, start: time | None, end: time | None) -> datetime | None:
    """The instant at which the quiet hours that `now` falls into end, in UTC; None when it falls into none.

    `start` and `end` are wall-clock times in `time_zone`; a range whose end is not after its start runs over
    midnight, and equal ends mean no quiet hours. Raises ZoneInfoNotFoundError or ValueError for an unknown zone.
    """
    if start is None or end is None or start == end:
        return None
    zone = ZoneInfo(time_zone)
    local = now.astimezone(zone)
    if not _inside(local.time(), start, end):
        return None
    day = local.date() if local.time() < end else local.date() + timedelta(days=1)
    # In an hour that the clocks repeat the same wall-clock end comes twice: the first one still ahead counts.
    # An end that the clocks skip is read with the offset before the change, which lands after the gap.
    ends = (datetime.combine(day, end, zone).replace(fold=fold).astimezone(now.tzinfo) for fold in (0, 1))
    return next((instant for instant in ends if instant > now), None)


def _inside(at: time, start: time, end: time) -> bool:
    if start < end:
        return start <= at < end
    return at >= start or at < end
