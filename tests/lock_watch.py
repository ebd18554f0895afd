"""Finds transactions that lock rows in another order than the written one (`tests.lock_order`).

Sees the statements of all Django connections of this process, in every thread, through `connection.execute_wrappers`,
and knows the rows that a statement has locked: it makes UPDATE and DELETE return their keys. What counts:

- Statements of the product; not those of a test, which sets a scene or stands in for something that the product calls.
- From an `atomic` that the product opens while it has none open, to its end. So in a test that is one transaction as a
  whole, each service is a transaction of its own. A savepoint that is rolled back gives its locks back.
- Rows that the transaction has inserted itself, or holds already, cost no wait.
- SKIP LOCKED does not wait, so it may come at any time; the rows count as held from then on.

Not seen: connections of psycopg alone (the relay, LISTEN), other processes, waits for a unique key or for a row that a
foreign key refers to, the keys of `executemany`.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from campaigns.policy import locks as policy_locks
from coolthing_site.seeding import seeder
from leads import locks
from messaging.consuming import copies
from tests.lock_order import ASCENDING, FREE, ORDER, PARTS
from tests.lock_statements import EXCLUSIVE, INTERESTING, Step, steps_of

ROOT = Path(__file__).resolve().parent.parent
TESTS = tuple(f"{ROOT}/{place}/" for place in ("tests", "bench"))
# Every other package.
PRODUCT = tuple(room for found in ROOT.glob("*/__init__.py") if (room := f"{found.parent}/") not in TESTS)
# Lines of the product that a finding shows, the innermost first.
FRAMES = 6

# Advisory locks by their first key; of some there are many, which their second key tells apart.
ADVISORY = {
    copies._CONTENT: "contents",
    policy_locks._ERASURES: "erasing",
    policy_locks._SUPPRESSIONS: "suppressions",
    seeder._SEEDING: "seeding",
    locks._CAMPAIGN: "leads of a campaign",
    locks._MANAGER: "managers",
    locks._PERSON: "first contacts",
}
# The key of rows whose keys are not seen.
ANY = "?"


@dataclass
class Locks:
    """What one transaction has: by table the keys of locked rows and how they are locked, where the first of them was
    locked, and the keys of rows that it has made itself."""

    held: dict[str, dict[str, int]] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)
    own: dict[str, set[str]] = field(default_factory=dict)

    def copy(self) -> "Locks":
        held = {table: dict(keys) for table, keys in self.held.items()}
        return Locks(held, dict(self.where), {table: set(keys) for table, keys in self.own.items()})

    def has(self, table: str) -> bool:
        """Whether it has locked a row of the table (an advisory lock: for itself alone), or made one."""
        exclusive = table not in ADVISORY.values() or EXCLUSIVE in self.held.get(table, {}).values()
        return (table in self.held and exclusive) or table in self.own


class Watch:
    """The locks of one connection's transaction. An execute wrapper."""

    def __init__(self, report: Callable[[str], None], product: tuple[str, ...]) -> None:
        self._report, self._product = report, product
        self._locks = Locks()
        self._before: list[Locks] = []

    def begin(self) -> None:
        if not self._before:
            self._locks = Locks()
        self._before.append(self._locks.copy())

    def end(self, *, failed: bool) -> None:
        if not self._before:
            return
        before = self._before.pop()
        if failed:
            self._locks = before

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if not INTERESTING.search(sql) or not (statements := steps_of(sql)):
            return execute(sql, params, many, context)
        where = _lines(self._product)
        if not where:
            return execute(sql, params, many, context)
        done = execute(_returning(sql, statements, many), params, many, context)
        results = [] if many else getattr(context["cursor"].cursor, "_results", [])
        if not self._before:
            self._locks = Locks()
        for number, steps in enumerate(statements):
            for step in steps:
                self._note(step, results[number] if number < len(results) else None, list(params or ()), where)
        return done

    def _note(self, step: Step, result: Any, params: list[Any], where: str) -> None:
        if step.verb == "advisory":
            self._note_advisory(step, params, where)
            return
        keys = _keys_in(result, step.column)
        if step.verb == "insert":
            self._locks.own.setdefault(step.table, set()).update(keys or _given(params))
        else:
            self._lock(step, step.table, [ANY] if keys is None else keys, where)

    def _note_advisory(self, step: Step, params: list[Any], where: str) -> None:
        given = params[step.parameter + 1] if step.second else ""
        keys = given if isinstance(given, list) else [given]
        step = replace(step, ordered=keys == sorted(keys))
        name = ADVISORY.get(params[step.parameter], "an advisory lock")
        self._lock(step, name, [_sortable(str(key)) for key in keys], where)

    def _lock(self, step: Step, table: str, keys: Sequence[str], where: str) -> None:
        held, own = self._locks.held.get(table, {}), self._locks.own.get(table, set())
        known = bool(held) and (ANY in held or ANY in keys)
        new = [] if known or ANY in own else [key for key in keys if key not in held and key not in own]
        raised = [key for key in keys if held.get(key, step.mode) < step.mode]
        if not new and not raised:
            return
        if table not in FREE and step.waits and not self._locks.has(PARTS.get(table, "")):
            self._check(step, table, new, raised, where)
        self._locks.held.setdefault(table, {}).update(dict.fromkeys([*new, *raised], step.mode))
        self._locks.where.setdefault(table, where)

    def _check(self, step: Step, table: str, new: list[str], raised: list[str], where: str) -> None:
        held, first = self._locks.held.get(table), self._locks.where.get(table)
        if raised:
            self._report(f"{table} is locked FOR SHARE, and then changed: {where}; first {first}")
        if held and new and not (table in ASCENDING and min(new) > max(held)):
            self._report(f"{table}: rows are locked by two statements: {where}; first {first}")
        if len(new) > 1 and not step.ordered:
            self._report(f"{table}: {len(new)} rows are locked in no order of their keys: {where}")
        elif new and not step.single:
            self._report(f"{table}: rows would be locked in no order of their keys, if there were several: {where}")
        if _place(table) is None:
            self._report(f"{table} has no place in tests/lock_order.py: {where}")
        later = [held for held in self._locks.held if held not in FREE and (_place(held) or 0) > (_place(table) or 0)]
        for other in later:
            self._report(f"{table} is locked after {other}: {where}; {other} {self._locks.where[other]}")


def _place(table: str) -> int | None:
    name = PARTS.get(table, table)
    return ORDER.index(name) if name in ORDER else None


def _returning(sql: str, statements: Sequence[Sequence[Step]], many: bool) -> str:
    """The statement, made to return the keys of the rows that it changes."""
    if many or len(statements) != 1 or not statements[0] or "RETURNING" in sql:
        return sql
    step = statements[0][0]
    changes = step.verb in ("update", "delete") and step.column
    return f'{sql} RETURNING "{step.alias}"."{step.column}"' if changes else sql


def _keys_in(result: Any, column: str) -> list[str] | None:
    """The keys that a statement returned; None when they are not seen."""
    if result is None or not column or not result.nfields:
        return None
    places = [place for place in range(result.nfields) if result.fname(place) == column.encode()]
    if not places:
        return None
    return [_sortable(result.get_value(row, places[0]).decode()) for row in range(result.ntuples)]


def _given(params: Sequence[Any]) -> set[str]:
    """The keys among an INSERT's values: any of them may be one. Of INSERT … SELECT they are not seen."""
    if not params or any(isinstance(value, list) for value in params):
        return {ANY}
    return {_sortable(str(value)) for value in params}


def _sortable(key: str) -> str:
    return key.rjust(20, "0") if key.isdigit() else key


def _lines(product: tuple[str, ...]) -> str:
    """The lines of the product that lead here, the innermost first; empty when there is none."""
    found: list[str] = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and len(found) < FRAMES:
        file = frame.f_code.co_filename
        if file.startswith(product):
            found.append(f"{file.removeprefix(f'{ROOT}/')}:{frame.f_lineno} {frame.f_code.co_name}")
        elif not found and file.startswith(TESTS):
            # What a test makes of something that the product calls is its own.
            return ""
        frame = frame.f_back
    return " < ".join(found)


def _is_opened_by(product: tuple[str, ...]) -> bool:
    """Whether it is the product that opens an `atomic` here, by itself or through Django; otherwise a test does."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        if code.co_name == "inner" and "func" in frame.f_locals:
            # A function that is decorated with it.
            code = getattr(inspect.unwrap(frame.f_locals["func"]), "__code__", code)
        if code.co_filename.startswith(product):
            return True
        if code.co_filename.startswith(TESTS):
            return False
        frame = frame.f_back
    return False


@contextmanager
def watching(report: Callable[[str], None], product: tuple[str, ...] = PRODUCT) -> Iterator[None]:
    """Report every transaction that breaks the order, until the end. `product` are the folders of code that counts."""
    atomic: Any = transaction.Atomic
    enter, leave = atomic.__enter__, atomic.__exit__
    watches: WeakKeyDictionary[Any, Watch] = WeakKeyDictionary()
    opened: WeakKeyDictionary[Any, list[bool]] = WeakKeyDictionary()

    def watch(connection: BaseDatabaseWrapper, **_: Any) -> Watch:
        if connection not in watches:
            watches[connection] = Watch(report, product)
            # Those of tests are taken away from the end again.
            connection.execute_wrappers.insert(0, watches[connection])
        return watches[connection]

    def entering(self: Any) -> None:
        enter(self)
        connection = transaction.get_connection(self.using)
        found = watch(connection)
        counts = bool(found._before) or (not self._from_testcase and _is_opened_by(product))
        opened.setdefault(connection, []).append(counts)
        if counts:
            found.begin()

    def leaving(self: Any, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        connection = transaction.get_connection(self.using)
        try:
            leave(self, exc_type, exc_value, traceback)
        finally:
            if opened.get(connection) and opened[connection].pop():
                watches[connection].end(failed=exc_type is not None)

    atomic.__enter__, atomic.__exit__ = entering, leaving
    connection_created.connect(watch)
    for connection in connections.all(initialized_only=True):
        watch(connection)
    try:
        yield
    finally:
        atomic.__enter__, atomic.__exit__ = enter, leave
        connection_created.disconnect(watch)
        for connection, found in list(watches.items()):
            connection.execute_wrappers.remove(found)
