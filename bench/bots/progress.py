"""The rate of something that is counted while it happens, without its ramp and without its last few."""

import time
from collections.abc import Callable

# The rate is taken between these shares of what is to come.
FROM, TO = 0.1, 0.98
POLL_SECONDS = 0.05


def rate(count: Callable[[], int], total: int, *, seconds: float) -> tuple[float, int]:
    """Ask `count` until it has reached `total`, or for so long at most. Returns how many a second, and how many."""
    deadline = time.monotonic() + seconds
    samples = [(time.monotonic(), count())]
    while samples[-1][1] < total and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        samples.append((time.monotonic(), count()))
    return steady(samples, total), samples[-1][1]


def steady(samples: list[tuple[float, int]], total: int) -> float:
    """How many a second between FROM and TO of what was reached of `total`; 0.0 when nothing moved."""
    reached = min(samples[-1][1], total)
    inside = [(at, count) for at, count in samples if FROM * reached <= count <= TO * reached]
    if len(inside) < 2:
        inside = samples
    (begin, first), (end, last) = inside[0], inside[-1]
    return (last - first) / (end - begin) if end > begin else 0.0
