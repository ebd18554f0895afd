"""docs/architecture.md lists every registry: every module-level variable that other modules fill while they load."""

import ast
import re

import pytest

from tests.support import ROOT
from tests.unit.repository.registry_search import changed_from_outside, registries

NOT_THE_PRODUCT = {"tests", "bench", "bin", "deploy", "docs"}


def documented() -> set[str]:
    """The first column of the table: `module.function`, and `.other` for another function of the same module."""
    text = (ROOT / "docs/architecture.md").read_text().partition("## Registries")[2].partition("\n## ")[0]
    found = set()
    for cell in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE):
        module = ""
        for name in re.findall(r"`([\w.]+)`", cell):
            module = module if name.startswith(".") else name.rpartition(".")[0]
            found.add(f"{module}.{name.rpartition('.')[2]}")
    return found


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    places = [path.relative_to(ROOT) for path in ROOT.glob("[!.]*/**/*.py")]
    product = [place for place in places if place.parts[0] not in NOT_THE_PRODUCT]
    return {
        ".".join(place.with_suffix("").parts).removesuffix(".__init__"): ast.parse((ROOT / place).read_text())
        for place in product
    }


def test_the_table_has_exactly_the_registries_of_the_code(modules: dict[str, ast.Module]) -> None:
    assert registries(modules) == documented()


def test_no_module_fills_a_variable_of_another_without_a_function(modules: dict[str, ast.Module]) -> None:
    assert changed_from_outside(modules) == set()


LOWER = """
from collections import defaultdict
shelf, by_kind, count, current = [], defaultdict(dict), {}, None
def put(thing): shelf.append(thing)
def sort_in(kind, thing): by_kind[kind].setdefault(thing, [])
def mark(kind):
    def marked(function):
        _keep(function)
        return function
    return marked
def _keep(function): shelf.insert(0, function)
def choose(thing):
    global current
    current = thing
def note(thing): count[thing] = 1
class Kind:
    def __init_subclass__(cls): shelf.append(cls)
"""
FOUND = {"lower.Kind"}


@pytest.mark.parametrize(
    ("higher", "also"),
    [
        pytest.param("from lower import put\nput(1)", "lower.put", id="at import"),
        pytest.param("import lower as below\nbelow.put(1)", "lower.put", id="under another name"),
        pytest.param("from lower import mark\n@mark('a')\ndef act(): ...", "lower.mark", id="as a decorator"),
        pytest.param(
            "class App:\n    def ready(self):\n        from lower import sort_in\n        sort_in('a', 1)",
            "lower.sort_in",
            id="in ready",
        ),
        pytest.param("from lower import choose\ndef begin(): choose(1)\nbegin()", "lower.choose", id="in a function"),
        pytest.param("from lower import note\ndef later(): note(1)", None, id="not while it loads"),
    ],
)
def test_a_registry_is_found_whatever_its_function_is_called(higher: str, also: str | None) -> None:
    modules = {"lower": ast.parse(LOWER), "higher": ast.parse(higher)}
    assert registries(modules) == FOUND | ({also} if also else set())


def test_what_a_module_keeps_for_itself_is_no_registry() -> None:
    modules = {"lower": ast.parse(f"{LOWER}\nput(1)"), "higher": ast.parse("import lower")}
    assert registries(modules) == FOUND


@pytest.mark.parametrize("change", ["lower.shelf.append(1)", "lower.count['a'] = 1", "lower.current = 1"])
def test_a_change_from_outside_is_found(change: str) -> None:
    modules = {"lower": ast.parse(LOWER), "higher": ast.parse(f"import lower\ndef later(): {change}")}
    assert [found.partition(":")[0] for found in changed_from_outside(modules)] == ["higher"]
