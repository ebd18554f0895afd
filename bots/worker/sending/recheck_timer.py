"""The times at which the gate checks the waiting deliveries of this process again: after about a second, or earlier."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from uuid import UUID

# Seconds until a waiting delivery is checked again, and how many are checked per second if there are very many. Events
# that end a wait (a changed rule, an earlier message that was sent) make deliveries due at once; the timer is for all
# other causes.
LOOK_AGAIN = 1.0
MOST_A_SECOND = 200


class RecheckTimer:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[UUID, dict[UUID, float]] = defaultdict(dict)

    def __len__(self) -> int:
        return sum(map(len, self._until.values()))

    def start(self, bot_id: UUID, delivery_ids: Iterable[UUID]) -> None:
        until = self._clock() + max(LOOK_AGAIN, len(self) / MOST_A_SECOND)
        self._until[bot_id] |= dict.fromkeys(delivery_ids, until)

    def not_due(self) -> list[UUID]:
        """The deliveries that need not be checked yet. Forgets all others."""
        now = self._clock()
        for bot_id in list(self._until):
            self._until[bot_id] = {found: until for found, until in self._until[bot_id].items() if until > now}
            if not self._until[bot_id]:
                del self._until[bot_id]
        return [found for deliveries in self._until.values() for found in deliveries]

    def bots(self) -> set[UUID]:
        """The bots with waiting deliveries."""
        return set(self._until)

    def due_now(self, bot_id: UUID) -> None:
        self._until.pop(bot_id, None)

    def due_now_all(self) -> None:
        self._until.clear()
