"""When the gate checks a waiting delivery of this process again: after about a second, or when it is woken."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from uuid import UUID

# Seconds until a waiting delivery is checked again, and how many are checked per second if there are very many. Events
# that end a wait (a changed rule, a message ahead that was sent) wake deliveries at once; this is for all other causes.
LOOK_AGAIN = 1.0
MOST_A_SECOND = 200


class WaitingRoom:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[UUID, dict[UUID, float]] = defaultdict(dict)

    def __len__(self) -> int:
        return sum(map(len, self._until.values()))

    def seat(self, bot_id: UUID, delivery_ids: Iterable[UUID]) -> None:
        until = self._clock() + max(LOOK_AGAIN, len(self) / MOST_A_SECOND)
        self._until[bot_id] |= dict.fromkeys(delivery_ids, until)

    def asleep(self) -> list[UUID]:
        """The deliveries that need not be checked yet. All others are removed."""
        now = self._clock()
        for bot_id in list(self._until):
            self._until[bot_id] = {found: until for found, until in self._until[bot_id].items() if until > now}
            if not self._until[bot_id]:
                del self._until[bot_id]
        return [found for room in self._until.values() for found in room]

    def bots(self) -> set[UUID]:
        """The bots with waiting deliveries."""
        return set(self._until)

    def wake(self, bot_id: UUID) -> None:
        self._until.pop(bot_id, None)

    def wake_all(self) -> None:
        self._until.clear()
