"""Records the live messages of all bots of a process together: one database call and one transaction for many chats.

A bot waits for the result before it passes on more messages. What arrives meanwhile, from all bots, makes the next
batch, so batches grow with the load and the cost of a transaction is shared. Whatever is unusual about a chat (its
cursor is gone or locked, its lease is lost) or about the whole batch (a handler or the database fails) is left to the
caller, which records each chat in a transaction of its own.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from bots.roles import RoleHandler
from bots.worker.cursors import Moved, Reader, Recorded, moved
from bots.worker.executor import in_db
from campaigns.policy.locks import erasures_lock_shared
from telegram.types import IncomingMessage, is_supergroup

# Seconds from the beginning of one batch to that of the next, so that batches grow and a transaction is worth its cost.
# The first message after a pause does not wait.
PAUSE = 0.1
# With so many messages a batch is full: if all of them are hits, its transaction takes some seconds.
FULL = 500

# Cursors of bots that this process owns. One that another transaction has locked is left out instead of waited for.
_LOCK = """
    SELECT cursor.id, cursor.bot_id, cursor.peer_id, cursor.last_message_id FROM bots_cursor AS cursor
    JOIN bots_bot AS bot ON bot.id = cursor.bot_id
    JOIN unnest(%s::uuid[], %s::bigint[], %s::bigint[]) AS wanted (bot_id, epoch, peer_id)
        ON wanted.bot_id = cursor.bot_id AND wanted.peer_id = cursor.peer_id AND wanted.epoch = bot.lease_epoch
    ORDER BY cursor.id FOR UPDATE OF cursor SKIP LOCKED
"""
_MOVE = """
    UPDATE bots_cursor AS cursor SET last_message_id = moved.position, gaps = cursor.gaps + moved.gaps,
        gap_messages = cursor.gap_messages + moved.missing, updated_at = statement_timestamp()
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) AS moved (id, position, gaps, missing)
    WHERE cursor.id = moved.id
"""

# The live messages of each chat, in ascending order.
Chats = Mapping[int, Sequence[IncomingMessage]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    reader: Reader
    chats: Chats


class Recorder:
    """Used from one event loop. It is busy only while there is something to record."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Request, asyncio.Future[dict[int, Recorded]]]] = []
        self._work: asyncio.Task[None] | None = None
        self._began = 0.0

    async def record(self, reader: Reader, chats: Chats) -> dict[int, Recorded]:
        """Record live messages of groups. Returns the results by chat; nothing of the other chats is recorded."""
        if not chats:
            return {}
        result: asyncio.Future[dict[int, Recorded]] = asyncio.get_running_loop().create_future()
        self._waiting.append((Request(reader, chats), result))
        if self._work is None or self._work.done():
            # Without the context of one bot, whose share of threads this is not (`executor.own_share`).
            self._work = asyncio.get_running_loop().create_task(self._run(), name="recorder", context=Context())
        return await result

    async def _run(self) -> None:
        while self._waiting:
            await asyncio.sleep(max(0.0, self._began + PAUSE - time.monotonic()))
            self._began = time.monotonic()
            if not (batch := self._next_batch()):
                continue
            recorded = await self._recorded([request for request, _ in batch])
            for (_, result), chats in zip(batch, recorded, strict=True):
                if not result.done():
                    result.set_result(chats)

    def _next_batch(self) -> list[tuple[Request, asyncio.Future[dict[int, Recorded]]]]:
        """Remove the requests for the next batch from those that wait. The others are next."""
        waiting = deque((request, result) for request, result in self._waiting if not result.done())
        batch, count = [], 0
        while waiting and count < FULL:
            batch.append(waiting.popleft())
            count += sum(map(len, batch[-1][0].chats.values()))
        self._waiting = list(waiting)
        return batch

    async def _recorded(self, requests: Sequence[Request]) -> list[dict[int, Recorded]]:
        try:
            return await in_db(chats_record, requests)
        except Exception as error:
            # Recorded alone, the chats that are not to blame succeed. The others' errors are handled there.
            log.info("messages of %d bots are recorded chat by chat: %s", len(requests), type(error).__name__)
            return [{} for _ in requests]


def chats_record(requests: Sequence[Request]) -> list[dict[int, Recorded]]:
    """Pass live messages to the handlers and move the cursors, in one transaction.

    Returns the results by chat, for each request. A chat without one (its cursor does not exist or is locked, or
    another process owns the bot) was left as it was. Raises what a handler raises; nothing has changed then.
    """
    results: list[dict[int, Recorded]] = []
    heard: dict[RoleHandler, dict[UUID, list[IncomingMessage]]] = {}
    moves: list[tuple[int, Moved]] = []
    with transaction.atomic():
        # Before the cursors are locked, as in `cursors.messages_record`.
        erasures_lock_shared()
        cursors = _cursors_lock(requests)
        for request in requests:
            reader, recorded = request.reader, dict[int, Recorded]()
            for peer_id, messages in request.chats.items():
                if (cursor := cursors.get((reader.bot_id, peer_id))) is None:
                    continue
                cursor_id, position = cursor
                move = moved(position, messages, gapless=is_supergroup(peer_id))
                recorded[peer_id] = Recorded(move.position, move.gap)
                moves.append((cursor_id, move))
                if move.fresh:
                    heard.setdefault(reader.handler, {}).setdefault(reader.bot_id, []).extend(move.fresh)
            results.append(recorded)
        for handler, messages_of in heard.items():
            handler.on_messages(messages=messages_of)
        _cursors_move([(number, move) for number, move in moves if move.changed])
    return results


def _cursors_lock(requests: Sequence[Request]) -> dict[tuple[UUID, int], tuple[int, int]]:
    """Lock the cursors. Returns their ids and positions, by bot and chat."""
    places = [(request.reader, peer_id) for request in requests for peer_id in request.chats]
    values: list[list[Any]] = [
        [reader.bot_id for reader, _ in places],
        [reader.epoch for reader, _ in places],
        [peer_id for _, peer_id in places],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, values)
        return {(bot_id, peer_id): (number, position) for number, bot_id, peer_id, position in cursor.fetchall()}


def _cursors_move(moves: Sequence[tuple[int, Moved]]) -> None:
    if not moves:
        return
    values = [
        [number for number, _ in moves],
        [move.position for _, move in moves],
        [int(move.gap) for _, move in moves],
        [move.missing for _, move in moves],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, values)
