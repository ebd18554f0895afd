"""Was each event handled exactly once by each subscription, and did only those die that were meant to?"""

import uuid
from collections import Counter
from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.chaos import load
from tests.chaos.bus import QUEUES

# The stories of so many events are told when a run fails.
_STORIES = 8
Handled = tuple[str, uuid.UUID]

_TABLES = {
    "fact": "SELECT * FROM chaos_fact WHERE event_id = %s",
    "outbox": "SELECT id, created_at, published_at, parked_at, parked_reason, body FROM messaging_outboxevent"
    " WHERE event_id = %s ORDER BY id",
    "processed": "SELECT subscription, processed_at FROM messaging_processedevent WHERE event_id = %s",
    "effect": "SELECT subscription, at FROM chaos_effect WHERE event_id = %s ORDER BY at",
    "dead letter": "SELECT queue, reason, error, count, state, x_death FROM messaging_deadletter WHERE event_id = %s",
}
_COUNTS = """
    SELECT subscription AS what, count(DISTINCT event_id) FROM chaos_effect GROUP BY 1
    UNION ALL SELECT 'dead', count(DISTINCT (queue, event_id)) FROM messaging_deadletter
    UNION ALL SELECT 'unpublished', count(*) FROM messaging_outboxevent WHERE published_at IS NULL
"""


class Verdict:
    """Reads the test's database; what ought to be there follows from the seed."""

    def __init__(self, url: str, seed: int, total: int) -> None:
        self._url = url
        everything = load.foreign_events(seed, total)
        for writer in range(load.WRITERS):
            everything += load.writer_events(seed, writer, total)
        good = [event.id for event in everything if event.text != load.FAIL]
        failing = [event.id for event in everything if event.text == load.FAIL]
        self.handled: set[Handled] = {(queue, event) for queue in QUEUES for event in good}
        self.dead: set[Handled] = {(queue, event) for queue in QUEUES for event in failing}

    def committed(self) -> int:
        """How many of the events that go through the outbox were committed until now."""
        return int(self._rows("SELECT count(*) FROM chaos_fact")[0]["count"])

    def ticks(self) -> int:
        return int(self._rows("SELECT count(*) FROM chaos_tick")[0]["count"])

    def is_settled(self) -> bool:
        """Whether there is nothing left to wait for, right or wrong. Cheap: the networks live in this process, too."""
        count = self._counts()
        handled = sum(count[queue] for queue in QUEUES)
        return handled >= len(self.handled) and count["dead"] >= len(self.dead) and not count["unpublished"]

    def progress(self) -> str:
        """How far it is, in one line."""
        count = self._counts()
        done = ", ".join(f"{queue} {count[queue]}" for queue in QUEUES)
        dead = f"{count['dead']} of {len(self.dead)} dead letters"
        return (
            f"handled of {len(self.handled) // len(QUEUES)}: {done}; {dead}; {count['unpublished']} wait in the outbox"
        )

    def problems(self) -> list[str]:
        """What is wrong, one line each; empty when all is well."""
        effects, letters, processed = self._effects(), self._letters(), self._processed()
        found = {
            "missing": self.handled - effects.keys(),
            "handled more than once": {key for key, count in effects.items() if count > 1},
            "handled, though never published": effects.keys() - self.handled - self.dead,
            "handled, though meant to fail": effects.keys() & self.dead,
            "dead-lettered, though not meant to": letters - self.dead,
            "not dead-lettered, though meant to": self.dead - letters,
            "handled without a record": effects.keys() - processed,
            "recorded without an effect": processed - effects.keys(),
        }
        lines = [f"{len(keys)} events {what}:\n{self._stories(keys)}" for what, keys in found.items() if keys]
        unpublished = self._unpublished()
        if unpublished:
            lines.append(f"{len(unpublished)} rows of the outbox are not published:\n{self._stories(unpublished)}")
        return lines

    def _counts(self) -> Counter[str]:
        return Counter({row["what"]: row["count"] for row in self._rows(_COUNTS)})

    def _effects(self) -> Counter[Handled]:
        rows = self._rows("SELECT subscription, event_id, count(*) FROM chaos_effect GROUP BY 1, 2")
        return Counter({(row["subscription"], row["event_id"]): row["count"] for row in rows})

    def _letters(self) -> set[Handled]:
        return self._keys("SELECT queue, event_id FROM messaging_deadletter")

    def _processed(self) -> set[Handled]:
        return self._keys(
            "SELECT subscription AS queue, event_id FROM messaging_processedevent WHERE subscription LIKE 'chaos%'"
        )

    def _unpublished(self) -> set[Handled]:
        return self._keys("SELECT 'outbox' AS queue, event_id FROM messaging_outboxevent WHERE published_at IS NULL")

    def _keys(self, query: str) -> set[Handled]:
        return {(row["queue"], row["event_id"]) for row in self._rows(query)}

    def _stories(self, keys: Iterable[Handled]) -> str:
        lines = []
        for queue, event in sorted(keys)[:_STORIES]:
            lines.append(f"  {queue or '(unroutable)'} {event}")
            for name, query in _TABLES.items():
                lines += [f"    {name}: {_line(row)}" for row in self._rows(query, event)] or [f"    {name}: none"]
        return "\n".join(lines)

    def _rows(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        with psycopg.connect(self._url, row_factory=dict_row) as connection:
            return connection.execute(query, arguments or None).fetchall()


def _line(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.items())
