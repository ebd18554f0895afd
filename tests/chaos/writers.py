"""Several processes that change the database and publish events through the outbox, at a steady rate.

`python -m tests.chaos.writers SEED EVENTS EVENTS_A_SECOND`; ends with 0 when every event was committed.
"""

import os
import random
import sys
import time
from collections.abc import Iterator
from itertools import islice

# First: it sets Django up.
from tests.chaos.app import ChaosHappened

# isort: split
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction

from messaging.publishing.outbox import publish_on_commit
from tests.chaos import load

_LARGEST_TRANSACTION = 20
_ROLLED_BACK_SHARE = 0.05
_RETRY_SECONDS = 0.1


class _TakenBack(Exception):
    """Rolls a transaction back whose events nobody may ever see."""


def main(seed: int, total: int, rate: float) -> int:
    children = []
    for writer in range(load.WRITERS):
        pid = os.fork()
        if not pid:
            _write(seed, writer, total, rate / load.WRITERS)
            os._exit(0)
        children.append(pid)
    return max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children)


def _write(seed: int, writer: int, total: int, rate: float) -> None:
    rng = random.Random(f"{seed}/sizes/{writer}")
    started, written = time.monotonic(), 0
    for events in _transactions(load.writer_events(seed, writer, total), rng):
        if rng.random() < _ROLLED_BACK_SHARE:
            _commit([ChaosHappened(text="never said")], take_back=True)
        _commit([ChaosHappened(id=event.id, text=event.text, created_at=event.created_at()) for event in events])
        written += len(events)
        time.sleep(max(0.0, started + written / rate - time.monotonic()))


def _transactions(events: Iterator[load.Planned], rng: random.Random) -> Iterator[list[load.Planned]]:
    while together := list(islice(events, rng.randint(1, _LARGEST_TRANSACTION))):
        yield together


def _commit(events: list[ChaosHappened], *, take_back: bool = False) -> None:
    """Facts and their events in one transaction, tried until the database has it for sure."""
    while True:
        try:
            with transaction.atomic():
                _remember(events)
                publish_on_commit(*events)
                if take_back:
                    raise _TakenBack
            return
        except (IntegrityError, _TakenBack):
            # The facts are there already: the commit had succeeded, only its answer was lost.
            return
        except (OperationalError, InterfaceError):
            connection.close()
            time.sleep(_RETRY_SECONDS)


def _remember(events: list[ChaosHappened]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO chaos_fact (event_id) VALUES (%s)", [(event.id,) for event in events])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
