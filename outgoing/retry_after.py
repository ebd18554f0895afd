"""How long another server asks us to wait, bounded: its number may be anything."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Whatever a server asks for, it is asked again after an hour.
MOST_SECONDS = 3600.0


def seconds_to_wait(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Between 0 and MOST_SECONDS; None when the headers name no time that can be read.

    Reads `retry-after-ms`, and `retry-after` as seconds or as an HTTP date (RFC 9110, 10.2.3); names in any case. A
    date is one of the server's clock, which its `date` tells; without it `now` counts.
    """
    named = {name.lower(): value.strip() for name, value in headers.items()}
    now = _date(named.get("date", "")) or now
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if name in named and (seconds := _seconds(named[name], unit, now)) is not None:
            return min(max(0.0, seconds), MOST_SECONDS)
    return None


def _seconds(text: str, unit: float, now: datetime) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return _until(text, now)
    return None if math.isnan(number) else number * unit


def _until(text: str, now: datetime) -> float | None:
    at = _date(text)
    return (at - now).total_seconds() if at is not None else None


def _date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
