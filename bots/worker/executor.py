"""Database calls from the event loop: they run in a few threads, each call with its own usable connection.

The calls of one bot use at most half of the threads at a time (`own_share`): a bot with much to record, or with a slow
handler, leaves the others their threads. Leases are renewed in a separate thread: whatever the rooms above do with a
message (a slow query, a task for a broker that does not answer), a bot must not lose its owner. Each query of a login
has a thread of its own, so that a login that waits for a lock delays neither the bots nor another login.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import close_old_connections, connections

# Enough that one slow query does not delay all sessions. Each thread needs a database connection.
THREADS = 4
# The most of them that the calls of one bot use at a time.
SHARE = THREADS // 2

P = ParamSpec("P")
R = TypeVar("R")

_pool = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="bots-db")
_lease_pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bots-leases")
# The free threads of the present task's bot; None for tasks of the whole process.
_share: ContextVar[asyncio.Semaphore | None] = ContextVar("bots-db-share", default=None)


def own_share() -> None:
    """Count the calls of `in_db` by the current task, and by all tasks that it creates from now on, as one bot's."""
    _share.set(asyncio.Semaphore(SHARE))


async def in_db(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `function`, which may use the ORM, in a thread and return what it returns or raise what it raises.

    The function runs to its end even if the caller is cancelled, so a transaction is never interrupted.
    """
    share = _share.get()
    if share is None:
        return await _run(_pool, partial(function, *args, **kwargs))
    async with share:
        return await _run(_pool, partial(function, *args, **kwargs))


async def in_lease_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Like `in_db`, but not delayed by calls of `in_db`. For short queries that a lease depends on."""
    return await _run(_lease_pool, partial(function, *args, **kwargs))


async def in_own_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Like `in_db`, in a thread and with a connection of its own. The thread does not keep the process from ending."""
    result: Future[R] = Future()
    # From now on cancelling the caller does not cancel the future.
    result.set_running_or_notify_cancel()

    def work() -> None:
        try:
            try:
                returned = function(*args, **kwargs)
            finally:
                connections.close_all()
        except BaseException as error:
            result.set_exception(error)
        else:
            result.set_result(returned)

    threading.Thread(target=work, name="login-db", daemon=True).start()
    return await asyncio.wrap_future(result)


async def _run(pool: ThreadPoolExecutor, call: Callable[[], R]) -> R:
    return await asyncio.get_running_loop().run_in_executor(pool, partial(_with_connection, call))


def _with_connection(call: Callable[[], R]) -> R:
    close_old_connections()
    try:
        return call()
    finally:
        close_old_connections()


def close_connections() -> None:
    """Close the database connections of all threads (tests: a test database can only be dropped then)."""
    everybody_here = threading.Barrier(THREADS)

    def close() -> None:
        everybody_here.wait(timeout=10)
        connections.close_all()

    for future in [*[_pool.submit(close) for _ in range(THREADS)], _lease_pool.submit(connections.close_all)]:
        future.result()
