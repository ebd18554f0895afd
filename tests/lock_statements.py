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
    how it calls the table. `single`: it meets one row at most, by a unique key.
    """

    verb: str
    table: str = ""
    mode: int = EXCLUSIVE
    ordered: bool = False
    waits: bool = True
    column: str = ""
    alias: str = ""
    parameter: int = 0
    second: bool = False
    single: bool = True


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
# The first column of a result, as `values_list("pk")` selects it, and the order by its place that goes with it.
_FIRST = re.compile(r'\s*SELECT (?:"\w+"\.)?"(?P<column>\w+)" AS "(?P<name>\w+)"')
_BY_PLACE = "1"
# A column that is given one value, by the text of a condition without its parentheses.
_EQUALS = re.compile(r'(?:\w+\.|"\w+"\.)?"?(\w+)"? (?:= \s*(?:%s|ONE|MANY)|IN\s+(?:ONE|%s(?!\s*,)))')
# A query that locks, and whose rows another one counts: it returns no keys.
_COUNTED = re.compile(r"\bFROM \((?P<query>SELECT\b.*)\) AS locked\b")
_QUERY = re.compile(r'\s*SELECT\b.*?\bFROM\s+"?(?P<table>\w+)"?')
_OR = re.compile(r"\bOR\b")
_INNERMOST = re.compile(r"(?:\bNOT )?\([^()]*\)")


@cache
def _key_columns() -> dict[str, str]:
    models = apps.get_models(include_auto_created=True)
    return {model._meta.db_table: str(model._meta.pk.column) for model in models}


@cache
def _unique_keys() -> dict[str, list[frozenset[str]]]:
    """By table, the sets of columns of which each names one row."""
    keys: dict[str, list[frozenset[str]]] = {}
    for model in apps.get_models(include_auto_created=True):
        columns = {field.name: str(field.column) for field in model._meta.concrete_fields}
        keys[model._meta.db_table] = [
            *(frozenset([str(field.column)]) for field in model._meta.concrete_fields if field.unique),
            *(
                frozenset(columns[name] for name in constraint.fields)
                for constraint in model._meta.total_unique_constraints
            ),
            *(frozenset(columns[name] for name in names) for names in model._meta.unique_together),
        ]
    return keys


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
    elif counted := _COUNTED.search(sql):
        yield from _selects(_without_parentheses(counted["query"]))
    else:
        yield from _selects(_without_parentheses(sql))


def _writes(sql: str, verb: str, table: str, alias: str) -> Iterator[Step]:
    if verb == "delete" and "WHERE" not in sql:
        # The test runner empties the tables.
        return
    column = _key_columns().get(table, "")
    # Of rows that its query has locked already.
    waits = "SKIP LOCKED" not in sql
    yield Step(verb, table, column=column, alias=alias, waits=waits, single=_is_single(table, sql))
    if verb == "insert" and "DO UPDATE" in sql:
        yield Step("upsert", table)


def _is_single(table: str, sql: str) -> bool:
    """Whether a statement meets one row of the table at most, since it gives the values of a unique key."""
    where = sql.partition(" WHERE ")[2]
    while (shorter := _INNERMOST.sub(_flat, where)) != where:
        where = shorter
    named = set() if _OR.search(where) else set(_EQUALS.findall(where))
    return any(key <= named for key in _unique_keys().get(table, ()))


def _flat(group: re.Match[str]) -> str:
    """What is in parentheses, without them. A query is a value, or several; what one of two conditions says, or what is
    not, names nothing."""
    if group[0].startswith("NOT"):
        return " "
    inner = group[0][1:-1]
    if query := _QUERY.match(inner):
        return " ONE " if "LIMIT 1" in inner or _is_single(query["table"], inner) else " MANY "
    return " " if _OR.search(inner) else inner


def _selects(sql: str) -> Iterator[Step]:
    lock, tables = _FOR.search(sql.strip()), list(_FROM.finditer(sql))
    if lock is None or not tables:
        return
    by_name = {name: table["table"] for table in tables for name in (table["alias"], table["table"]) if name}
    named = [name.strip(' "') for name in lock["of"].split(",")] if lock["of"] else list(by_name)
    order, first = _ORDER_BY.search(sql), _FIRST.match(sql)
    ordered_by = order["column"] if order else ""
    if first and ordered_by == _BY_PLACE:
        ordered_by = first["column"]
    for table in dict.fromkeys(by_name[name] for name in named):
        key = _key_columns().get(table, "")
        column = first["name"] if first and first["column"] == key else key
        yield Step(
            "select",
            table,
            mode=SHARED if lock["mode"] == "SHARE" else EXCLUSIVE,
            ordered=bool(key) and ordered_by == key,
            waits=not lock["skip"],
            # Of joined tables the columns have the same names.
            column=column if table == tables[0]["table"] else "",
        )


def _without_parentheses(sql: str) -> str:
    while (shorter := _INNERMOST.sub(" ", sql)) != sql:
        sql = shorter
    return sql
