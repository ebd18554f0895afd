"""What a statement locks, read from its text. Simple: it knows the statements that Django and the product write."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from django.apps import apps

SHARED, EXCLUSIVE = 0, 1


@dataclass(frozen=True)
class Step:
    """What one statement locks: rows of `table`, or the advisory lock whose key is the `parameter`th of the values, and
    whose `second` key, or a list of them, is the next one. `column` is where the statement returns the keys, `alias`
    how it calls the table."""

    verb: str
    table: str = ""
    mode: int = EXCLUSIVE
    ordered: bool = False
    waits: bool = True
    column: str = ""
    alias: str = ""
    parameter: int = 0
    second: bool = False


INTERESTING = re.compile(
    r"^\s*(?:UPDATE|DELETE|INSERT)\b|;\s*(?:UPDATE|DELETE)\b|\bFOR (?:NO KEY UPDATE|UPDATE|SHARE)\b|pg_advisory_xact"
)
_FOR = re.compile(
    r'\bFOR (?P<mode>NO KEY UPDATE|UPDATE|SHARE)(?: OF (?P<of>[\w"., ]+?))?(?P<skip> SKIP LOCKED| NOWAIT)?\s*$'
)
_FROM = re.compile(
    r'\b(?:FROM|JOIN)\s+"?(?P<table>\w+)"?'
    r'(?:\s+(?:AS\s+)?(?!(?:WHERE|ORDER|FOR|ON|INNER|LEFT|JOIN|LIMIT)\b)"?(?P<alias>\w+)"?)?'
)
_WRITE = re.compile(
    r'\s*(?P<verb>UPDATE|DELETE|INSERT)(?: FROM| INTO)?\s+"?(?P<table>\w+)"?'
    r"(?:\s+(?:AS\s+)?(?!(?:SET|WHERE|USING|VALUES|SELECT)\b)(?P<alias>\w+))?"
)
_ADVISORY = re.compile(r"pg_advisory_xact_lock(?P<shared>_shared)?\(%s(?P<second>,)?")
_ORDER_BY = re.compile(r'\bORDER BY (?:"?\w+"?\.)?"?(?P<column>\w+)"?(?: ASC)?\s*(?:,|FOR|LIMIT|$)')
_INNERMOST = re.compile(r"\([^()]*\)")


@cache
def _key_columns() -> dict[str, str]:
    models = apps.get_models(include_auto_created=True)
    return {model._meta.db_table: str(model._meta.pk.column) for model in models}


@lru_cache(maxsize=4096)
def steps_of(sql: str) -> tuple[tuple[Step, ...], ...]:
    """Of each statement in the text, what it locks."""
    found, parameters = [], 0
    for statement in sql.split(";"):
        found.append(tuple(_steps(statement, parameters)))
        parameters += statement.count("%s")
    return tuple(found)


def _steps(sql: str, parameters: int) -> Iterator[Step]:
    for advisory in _ADVISORY.finditer(sql):
        mode = SHARED if advisory["shared"] else EXCLUSIVE
        parameter = parameters + sql[: advisory.start()].count("%s")
        yield Step("advisory", mode=mode, parameter=parameter, second=bool(advisory["second"]))
    if write := _WRITE.match(sql):
        yield from _writes(sql, write["verb"].lower(), write["table"], write["alias"] or write["table"])
    else:
        yield from _selects(_without_parentheses(sql))


def _writes(sql: str, verb: str, table: str, alias: str) -> Iterator[Step]:
    if verb == "delete" and "WHERE" not in sql:
        # The test runner empties the tables.
        return
    column = _key_columns().get(table, "")
    yield Step(verb, table, column=column, alias=alias)
    if verb == "insert" and "DO UPDATE" in sql:
        yield Step("upsert", table)


def _selects(sql: str) -> Iterator[Step]:
    lock, tables = _FOR.search(sql.strip()), list(_FROM.finditer(sql))
    if lock is None or not tables:
        return
    by_name = {name: one["table"] for one in tables for name in (one["alias"], one["table"]) if name}
    named = [name.strip(' "') for name in lock["of"].split(",")] if lock["of"] else list(by_name)
    order = _ORDER_BY.search(sql)
    for table in dict.fromkeys(by_name[name] for name in named):
        column = _key_columns().get(table, "")
        yield Step(
            "select",
            table,
            mode=SHARED if lock["mode"] == "SHARE" else EXCLUSIVE,
            ordered=order is not None and order["column"] == column,
            waits=not lock["skip"],
            # Of joined tables the columns have the same names.
            column=column if table == tables[0]["table"] else "",
        )


def _without_parentheses(sql: str) -> str:
    while (shorter := _INNERMOST.sub(" ", sql)) != sql:
        sql = shorter
    return sql
