"""Loads a YAML file as plain data, with the line of each value.

The loader uses the core schema of YAML 1.2: all values except null, true, false and numbers are texts. So `22:00`, `no`
and `2026-11-02` are texts.
"""

import re
from pathlib import Path as FilePath
from typing import Any

import yaml

from coolthing_site.seeding.problems import Path, Problem, SeedError
from messaging.wire import unstorable
from texts.decoding import NotText, only_certain

Lines = dict[Path, int]
# Limits against aliases that contain themselves, or each other many times.
DEEPEST = 20
MOST_VALUES = 500_000


class _Loader(yaml.SafeLoader):
    pass


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:null", r"~|null|", ["~", "n", ""]),
    ("tag:yaml.org,2002:bool", r"true|false", ["t", "f"]),
    ("tag:yaml.org,2002:int", r"-?(0|[1-9][0-9]*)", list("-0123456789")),
    ("tag:yaml.org,2002:float", r"-?[0-9]+\.[0-9]+", list("-0123456789")),
):
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), _first)


def load(file: str) -> tuple[Any, Lines]:
    """The file's data and the line of each path in it. Raises SeedError without a file or valid YAML."""
    try:
        text = only_certain(FilePath(file).read_bytes())
    except OSError as error:
        raise SeedError(file, [Problem((), error.strerror or "cannot be read")]) from error
    except NotText as error:
        raise SeedError(file, [Problem((), f"cannot be decoded: {error}. Save the file as UTF-8")]) from error
    try:
        return _parse(file, text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = f"is not valid YAML: {error.problem or error.context}"
        raise SeedError(file, [Problem((), reason, mark.line + 1 if mark else None)]) from error
    except yaml.YAMLError as error:
        raise SeedError(file, [Problem((), f"is not valid YAML: {' '.join(str(error).split())}")]) from error


def _parse(file: str, text: str) -> tuple[Any, Lines]:
    loader = _Loader(text)
    root = loader.get_single_node()
    if root is None:
        raise SeedError(file, [Problem((), "is empty")])
    lines: Lines = {}
    _walk(file, root, (), lines)
    return loader.construct_document(root), lines


def _walk(file: str, node: yaml.Node, path: Path, lines: Lines) -> None:
    if len(path) > DEEPEST or len(lines) > MOST_VALUES:
        raise SeedError(
            file, [Problem(path[:DEEPEST], "is too deep, or the file is too large; an alias may contain itself")]
        )
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode) and (problem := unstorable(node.value)):
        raise SeedError(file, [Problem(path, problem, lines[path])])
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(file, item, (*path, index), lines)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            if inner in lines:
                raise SeedError(file, [Problem(inner, "appears twice", key.start_mark.line + 1)])
            _walk(file, value, inner, lines)
            lines[inner] = key.start_mark.line + 1
