"""Small charts for the panel: figures of the last hour as the path of an SVG."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WIDTH, HEIGHT = 88, 28
# Half a pixel more than the line's width, so that the highest and the lowest value are not cut off.
_MARGIN = 1.5

Point = tuple[datetime, float]


@dataclass(frozen=True)
class Chart:
    """`line` is the `d` attribute of a path in a box of `width` × `height`; "" without points."""

    line: str
    most: float
    width: int = WIDTH
    height: int = HEIGHT


def chart(points: Sequence[Point], *, until: datetime, span: timedelta, gap: timedelta) -> Chart:
    """Draw the points of the `span` before `until`. The line is interrupted between points further apart than `gap`."""
    most = max((value for _, value in points), default=0.0)
    drawn, last = [], None
    for at, value in points:
        command = "M" if last is None or at - last > gap else "L"
        drawn.append(f"{command}{_x(at, until, span):.1f} {_y(value, most):.1f}")
        last = at
    return Chart(" ".join(_visible(drawn)), most)


def _visible(commands: Iterable[str]) -> Iterable[str]:
    """Give each single point a line of length 0, which is visible because of its round cap."""
    listed = list(commands)
    for place, command in enumerate(listed):
        yield command
        if command.startswith("M") and (place + 1 == len(listed) or listed[place + 1].startswith("M")):
            yield "h0"


def _x(at: datetime, until: datetime, span: timedelta) -> float:
    share = 1 - (until - at) / span
    return _MARGIN + min(1.0, max(0.0, share)) * (WIDTH - 2 * _MARGIN)


def _y(value: float, most: float) -> float:
    share = value / most if most > 0 else 0.0
    return HEIGHT - _MARGIN - share * (HEIGHT - 2 * _MARGIN)
