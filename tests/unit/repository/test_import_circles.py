"""Modules do not import each other in a circle, nor do rooms, nor the packages and modules side by side in one folder.

import-linter keeps the order of the rooms and of some packages, but not of modules. Imports inside functions and under
`if TYPE_CHECKING` count like any others.
"""

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.support import ROOT

Graph = Mapping[str, set[str]]


@cache
def _product() -> Graph:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return _graph(ROOT, linter["root_packages"])


def _graph(root: Path, rooms: list[str]) -> Graph:
    """Each module with those that it imports."""
    modules = _modules(root, rooms)
    return {
        module: {_module_of(name, modules) for name in _imported(path)} - {module, ""}
        for module, path in modules.items()
    }


def _modules(root: Path, rooms: list[str]) -> dict[str, Path]:
    """Every module's dotted name → its file."""
    found = {}
    for path in (path for room in rooms for path in sorted((root / room).rglob("*.py"))):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _imported(path: Path) -> Iterator[str]:
    """The dotted names that the file imports: modules, and names in modules."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module_of(name: str, modules: Mapping[str, Path]) -> str:
    """The module that is imported, or that holds the imported name; empty for a library's."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def _side_by_side(graph: Graph) -> dict[str, Graph]:
    """For each folder ("" is the checkout) its packages and modules, each with those that it imports."""
    folders: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for module, imports in graph.items():
        for other in imports:
            ours, theirs = module.split("."), other.split(".")
            depth = next((n for n, names in enumerate(zip(ours, theirs, strict=False)) if names[0] != names[1]), None)
            if depth is not None:
                folders[".".join(ours[:depth])][".".join(ours[: depth + 1])].add(".".join(theirs[: depth + 1]))
    return dict(folders)


def _circle(graph: Graph) -> list[str]:
    """One circle, each importing the next; empty when there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_no_modules_import_each_other_in_a_circle():
    assert len(_product()) > 400
    assert _circle(_product()) == []


def test_no_neighbours_in_a_folder_import_each_other_in_a_circle():
    circles = {folder: _circle(neighbours) for folder, neighbours in _side_by_side(_product()).items()}
    assert len(circles) > 20
    assert {folder: circle for folder, circle in circles.items() if circle} == {}


def test_a_circle_is_found_wherever_its_imports_stand(tmp_path: Path):
    room = tmp_path / "room"
    (room / "upper").mkdir(parents=True)
    (room / "__init__.py").touch()
    (room / "upper/__init__.py").touch()
    typing = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from room.upper import first\n"
    (room / "lower.py").write_text(typing)
    (room / "upper/first.py").write_text("def call():\n    from room.upper.second import name\n")
    (room / "upper/second.py").write_text("import room.lower\n")
    graph = _graph(tmp_path, ["room"])
    assert set(_circle(graph)) == {"room.lower", "room.upper.first", "room.upper.second"}
    assert set(_circle(_side_by_side(graph)["room"])) == {"room.lower", "room.upper"}
    (room / "lower.py").write_text("")
    assert _circle(_graph(tmp_path, ["room"])) == []


def test_packages_in_a_circle_are_found_though_their_modules_are_in_none(tmp_path: Path):
    for package in ("left", "right"):
        (tmp_path / "room" / package).mkdir(parents=True)
    (tmp_path / "room/left/top.py").write_text("import room.right.top\n")
    (tmp_path / "room/right/top.py").touch()
    (tmp_path / "room/left/ground.py").touch()
    (tmp_path / "room/right/middle.py").write_text("from room.left.ground import name\n")
    graph = _graph(tmp_path, ["room"])
    assert _circle(graph) == []
    assert set(_circle(_side_by_side(graph)["room"])) == {"room.left", "room.right"}
