"""docs/architecture.md lists every registry."""

import ast
import re

from tests.support import ROOT

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


def defined() -> set[str]:
    """Functions `register…` of the product's modules."""
    found = set()
    for path in ROOT.glob("[!.]*/**/*.py"):
        place = path.relative_to(ROOT)
        if place.parts[0] in NOT_THE_PRODUCT:
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and re.fullmatch(r"register(_\w+)?", node.name):
                found.add(f"{'.'.join(place.with_suffix('').parts)}.{node.name}")
    return found


def test_every_registry_is_in_the_table():
    assert len(defined()) > 5
    assert defined() - documented() == set()


def test_every_entry_of_the_table_is_defined():
    for name in documented():
        module, _, function = name.rpartition(".")
        text = (ROOT / (module.replace(".", "/") + ".py")).read_text()
        assert re.search(rf"^(def|class) {function}\b", text, re.MULTILINE), name
