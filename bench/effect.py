"""The effect of a peer's handler in PostgreSQL: a row per message, committed before the acknowledgement.

It is as cheap as possible: a single statement, which commits by itself, over a connection that stays open. There is no
record of the handled message, so a message that arrives twice has its effect twice.
"""

import os
from threading import local
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

DATABASE_VARIABLE = "BENCH_DATABASE"
TABLE = "CREATE TABLE IF NOT EXISTS bench_effect (event_id uuid NOT NULL, note text NOT NULL)"
INSERT = "INSERT INTO bench_effect (event_id, note) VALUES (%s, %s)"
# The record that our subscriber writes in its transaction, for a peer with the same guarantee.
RECORD = "INSERT INTO messaging_processedevent (event_id, subscription) VALUES (%s, 'peer') ON CONFLICT DO NOTHING"
POOL_SIZE = 8
NONE, EFFECT, ONCE = "none", "effect", "once"

_thread = local()
_pool: "AsyncConnectionPool | None" = None


def mode() -> str:
    """`none`, `effect` (the row), or `once` (the row and the record of the handled message in one transaction)."""
    return os.environ.get("BENCH_EFFECT", NONE)


def apply(message: dict[str, Any]) -> None:
    wanted = mode()
    if wanted == NONE:
        return
    connection = _connection()
    if wanted == EFFECT:
        connection.execute(INSERT, [message["id"], message["text"]])
        return
    with connection.transaction():
        if connection.execute(RECORD, [message["id"]]).rowcount == 1:
            connection.execute(INSERT, [message["id"], message["text"]])


async def apply_async(message: dict[str, Any]) -> None:
    if mode() == NONE:
        return
    pool = await _async_pool()
    async with pool.connection() as connection:
        await connection.execute(INSERT, [message["id"], message["text"]])


def _connection() -> psycopg.Connection:
    if not hasattr(_thread, "connection"):
        _thread.connection = psycopg.connect(os.environ[DATABASE_VARIABLE], autocommit=True)
    return _thread.connection


async def _async_pool() -> "AsyncConnectionPool":
    # Imported here, so that processes that measure no peers do not need the package.
    from psycopg_pool import AsyncConnectionPool

    global _pool
    if _pool is None:
        _pool = AsyncConnectionPool(
            os.environ[DATABASE_VARIABLE],
            min_size=POOL_SIZE,
            max_size=POOL_SIZE,
            kwargs={"autocommit": True},
            open=False,
        )
        await _pool.open()
    return _pool
