"""Database calls from the event loop: a few threads, each call with its own usable connection.

Leases are renewed in a thread of their own: what the rooms above do on a message (a slow query, a task for a broker
that does not answer) must not cost a bot its owner. Each query of a login has a thread of its own, so that a login that
hangs on a lock holds up neither the bots nor another login.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import close_old_connections, connections

# Enough to keep the loop's sessions from queueing behind one slow query; each costs a database connection.
THREADS = 4

P = ParamSpec("P")
R = TypeVar("R")

_pool = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="bots-db")
_lease_pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bots-leases")


async def in_db(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `function`, which may use the ORM, in a thread and return what it returns or raise what it raises.

    It runs to its end even when the caller is cancelled: a transaction is never cut in the middle.
    """
    return await _run(_pool, partial(function, *args, **kwargs))


async def in_lease_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """As `in_db`, past whatever keeps its threads busy. For short queries that a lease depends on."""
    return await _run(_lease_pool, partial(function, *args, **kwargs))


async def in_own_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """As `in_db`, in a thread and with a connection that nobody else has. A process may end while it hangs."""
    result: Future[R] = Future()
    # From now on it is not cancelled with the caller.
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
