"""Fair shares for the chats of one bot: which chat's messages are recorded next, live ones and those of histories."""

from collections import deque
from collections.abc import Collection

from telegram.types import IncomingMessage

# The most messages that one chat puts into a batch while messages of other chats wait.
SHARE = 20


class FairInbox:
    """The live messages that wait to be recorded. The chats take turns, so that a flood in one chat delays no other.

    A message waits for at most SHARE messages of each other chat, and for the earlier messages of its own chat.
    """

    def __init__(self) -> None:
        # The chat at the front is next.
        self._chats: dict[int, deque[IncomingMessage]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, message: IncomingMessage) -> None:
        waiting = self._chats.get(message.peer_id)
        if waiting is None:
            self._chats[message.peer_id] = deque((message,))
        else:
            waiting.append(message)
        self._count += 1

    def take(self, most: int) -> list[IncomingMessage]:
        """Remove and return the next messages, at most `most`, in the order of arrival within each chat."""
        taken: list[IncomingMessage] = []
        while self._chats and len(taken) < most:
            peer_id = next(iter(self._chats))
            waiting = self._chats.pop(peer_id)
            share = min(SHARE, most - len(taken), len(waiting))
            taken += [waiting.popleft() for _ in range(share)]
            if waiting:
                self._chats[peer_id] = waiting
        self._count -= len(taken)
        return taken


class HistoryTurns:
    """The order in which histories are read, a page at a time: the chat whose last page is the longest ago is next.

    It outlives connections. Otherwise a connection that is often lost would always begin with the same chats.
    """

    def __init__(self) -> None:
        self._count = 0
        # The number of the last page of each chat.
        self._last: dict[int, int] = {}

    def next(self, peer_ids: Collection[int]) -> int | None:
        """The chat that is next among these, which has its turn now. Of chats without a turn yet, the first one."""
        if not peer_ids:
            return None
        peer_id = min(peer_ids, key=lambda peer: self._last.get(peer, 0))
        self._count += 1
        self._last[peer_id] = self._count
        return peer_id

    def forget(self, peer_id: int) -> None:
        self._last.pop(peer_id, None)
