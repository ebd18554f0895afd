"""What is published: ids and contents follow from the seed, so that whoever checks knows them without being told."""

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EXCHANGE = "chaos_exchange"
KEY = "chaos.happened"
# The text of events whose handlers are meant to fail.
FAIL = "fail"
WRITERS = 3
# Every fourth event comes from a program that knows nothing of outboxes.
FOREIGN_SHARE = 4
# So many of a thousand events are meant to end as dead letters.
_FAILING_PER_MILLE = 3
_SKEWED_SHARE = 0.2
_SKEW_MOST = timedelta(days=30)


@dataclass(frozen=True)
class Planned:
    """One event. `skew`: what its publisher's clock is wrong by; zero for most."""

    id: uuid.UUID
    text: str
    skew: timedelta

    def created_at(self) -> datetime:
        return datetime.now(UTC) + self.skew


def events(seed: int, source: str, count: int) -> Iterator[Planned]:
    """The events of one source, always the same for the same seed."""
    rng = random.Random(f"{seed}/{source}")
    for number in range(count):
        fails = rng.randrange(1000) < _FAILING_PER_MILLE
        skew = _SKEW_MOST * rng.uniform(-1, 1) if rng.random() < _SKEWED_SHARE else timedelta()
        yield Planned(uuid.UUID(int=rng.getrandbits(128), version=4), FAIL if fails else f"{source}/{number}", skew)


def foreign_events(seed: int, total: int) -> list[Planned]:
    return list(events(seed, "foreign", total // FOREIGN_SHARE))


def writer_events(seed: int, writer: int, total: int) -> Iterator[Planned]:
    return events(seed, f"writer-{writer}", _share(writer, total - total // FOREIGN_SHARE))


def _share(writer: int, count: int) -> int:
    return count // WRITERS + (writer < count % WRITERS)
