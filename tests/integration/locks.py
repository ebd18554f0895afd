"""A second connection, and whether it waits for a lock."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from django.db import connection, connections, transaction
from django.db.models import Model

from tests.support import wait_until


def in_thread(work: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def at_once(*works: Callable[[], object]) -> None:
    """Each on a thread and connection of its own, all at the same moment. Raises what one of them raised."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(60)
            work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as pool:
        list(pool.map(run, works))


def somebody_waits_for_a_lock() -> bool:
    return lock_waits() > 0


def lock_waits() -> int:
    """How many connections wait for a lock that another one holds."""
    with connection.cursor() as cursor:
        # Within a transaction the first look would be answered for ever.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])


@contextmanager
def row_locked(row: Model) -> Iterator[None]:
    """Whoever wants to change this row meanwhile waits. Its connection is the calling thread's."""
    with transaction.atomic():
        type(row)._default_manager.select_for_update().get(pk=row.pk)
        yield


@contextmanager
def working() -> Iterator[Callable[[Callable[[], object]], None]]:
    """To begin works with, each on a thread and connection of its own: begun is one when it waits for a lock. Raises
    what one of them raised, when all have ended."""
    with ThreadPoolExecutor() as pool:
        begun: list[Future[object]] = []

        def begin(work: Callable[[], object]) -> None:
            begun.append(pool.submit(_closing, work))
            wait_until(lambda: lock_waits() == len(begun), what=f"{len(begun)} works wait for a lock")

        yield begin
    for each in begun:
        each.result()


def _closing(work: Callable[[], object]) -> object:
    try:
        return work()
    finally:
        connections.close_all()
