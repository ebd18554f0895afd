"""Measures the rate at which a count grows, without the start and the end."""

import time
from collections.abc import Callable

# The rate is measured between these shares of the total.
FROM, TO = 0.1, 0.98
POLL_SECONDS = 0.05


def rate(count: Callable[[], int], total: int, *, seconds: float) -> tuple[float, int]:
    """Poll `count` until it reaches `total`, for at most `seconds`. Returns the rate per second and the last count."""
    deadline = time.monotonic() + seconds
    samples = [(time.monotonic(), count())]
    while samples[-1][1] < total and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        samples.append((time.monotonic(), count()))
    return steady(samples, total), samples[-1][1]


def steady(samples: list[tuple[float, int]], total: int) -> float:
    """The rate per second between the shares FROM and TO of the reached count; 0.0 if the count did not grow."""
    reached = min(samples[-1][1], total)
    inside = [(at, count) for at, count in samples if FROM * reached <= count <= TO * reached]
    if len(inside) < 2:
        inside = samples
    (begin, first), (end, last) = inside[0], inside[-1]
    return (last - first) / (end - begin) if end > begin else 0.0
