"""Makes a value that satisfies a JSON schema, as structured output promises.

Covers the part of JSON schema that structured output allows: objects, arrays, strings, numbers, booleans, null,
enum, const, anyOf and oneOf, allOf of one, local `$ref`, and the simple length and range limits.
"""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
# A schema that refers to itself would otherwise be filled for ever.
MAX_DEPTH = 20


class SchemaError(ValueError):
    """The schema cannot be followed."""


def shape(schema: Schema, wanted: object = None, *, root: Schema | None = None, depth: int = 0) -> Any:
    """A value that satisfies `schema` and keeps as much of `wanted` as fits it."""
    root = schema if root is None else root
    if depth > MAX_DEPTH:
        raise SchemaError("the schema refers to itself without an end")
    schema = _resolve(schema, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return wanted if wanted in schema["enum"] else schema["enum"][0]
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return shape(_pick(options, wanted, root), wanted, root=root, depth=depth + 1)
    kind = _kind(schema, wanted)
    if kind == "object":
        return _object(schema, wanted, root, depth)
    if kind == "array":
        return _array(schema, wanted, root, depth)
    return _scalar(schema, kind, wanted)


def _resolve(schema: Schema, root: Schema) -> Schema:
    for _ in range(MAX_DEPTH):
        if "$ref" in schema:
            schema = _follow(str(schema["$ref"]), root)
        elif len(schema.get("allOf", ())) == 1:
            schema = schema["allOf"][0]
        else:
            return schema
    raise SchemaError("the schema's references go round in a circle")


def _follow(ref: str, root: Schema) -> Schema:
    found: Any = root
    for part in ref.removeprefix("#").strip("/").split("/"):
        if part:
            found = found.get(part) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        raise SchemaError(f"{ref} is not in the schema")
    return found


def _pick(options: list[Schema], wanted: object, root: Schema) -> Schema:
    """The option of the wanted value's own type, else the first."""
    for option in options:
        if _type_of(wanted) in _types(_resolve(option, root)):
            return option
    return options[0]


def _types(schema: Schema) -> list[str]:
    named = schema.get("type")
    if named is None:
        return ["object"] if "properties" in schema else ["array"] if "items" in schema else ["string"]
    return list(named) if isinstance(named, list) else [str(named)]


def _kind(schema: Schema, wanted: object) -> str:
    kinds = _types(schema)
    own = _type_of(wanted)
    return own if own in kinds else kinds[0]


def _type_of(value: object) -> str:
    # bool stands before int, which it is a kind of.
    types = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (Mapping, "object"))
    for python, name in types:
        if isinstance(value, python):
            return name
    return "array" if isinstance(value, list | tuple) else "null" if value is None else "unknown"


def _object(schema: Schema, wanted: object, root: Schema, depth: int) -> dict[str, Any]:
    given = wanted if isinstance(wanted, Mapping) else {}
    names = schema.get("properties", {})
    return {
        name: shape(names[name], given.get(name), root=root, depth=depth + 1)
        for name in names
        if name in schema.get("required", names) or name in given
    }


def _array(schema: Schema, wanted: object, root: Schema, depth: int) -> list[Any]:
    given = list(wanted) if isinstance(wanted, list | tuple) else []
    given = given[: schema.get("maxItems", len(given))]
    given += [None] * (schema.get("minItems", 0) - len(given))
    return [shape(schema.get("items", {}), item, root=root, depth=depth + 1) for item in given]


def _scalar(schema: Schema, kind: str, wanted: object) -> Any:
    if kind == "null":
        return None
    if kind == "boolean":
        return wanted if isinstance(wanted, bool) else False
    if kind in ("integer", "number"):
        value = wanted if isinstance(wanted, int | float) and not isinstance(wanted, bool) else 0
        value = max(value, schema.get("minimum", value))
        return min(value, schema.get("maximum", value))
    text = wanted if isinstance(wanted, str) else ""
    return text[: schema.get("maxLength", len(text))].ljust(schema.get("minLength", 0), ".")
