"""One name, one thing: no two modules of the product have a class of the same name.

The sandbox is left out: it plays Telegram, and has Telegram's nouns (Chat, Message, Event).
"""

import ast
import tomllib
from collections import defaultdict

from tests.support import ROOT

# Django finds these by their name.
BY_CONVENTION = {"Command", "Migration"}


def test_no_two_classes_have_the_same_name():
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for room in set(linter["root_packages"]) - {"sandbox"}:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    homes[node.name].append(str(path.relative_to(ROOT)))
    assert len(homes) > 400
    assert {name: paths for name, paths in homes.items() if len(paths) > 1 and name not in BY_CONVENTION} == {}
