"""docs/architecture.md lists the packages of each room in the order in which import-linter's contracts have them."""

import re
import tomllib

import pytest

from tests.support import ROOT

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
# The layers of each room, from top to bottom.
LAYERS = {
    contract["containers"][0]: [{name.strip() for name in layer.split("|")} for layer in contract["layers"]]
    for contract in CONTRACTS
    if contract["type"] == "layers" and contract.get("exhaustive")
}


def rows_of(room: str) -> list[set[str]]:
    """The names in the first column of the room's table, from top to bottom."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = re.search(rf"^##+ (?:The packages of {room}|`{room}`)\n(.*?)(?=^#)", text, re.MULTILINE | re.DOTALL)
    assert section, f"docs/architecture.md has no table of the packages of {room}"
    first_columns = [line.split("|")[1] for line in section[1].splitlines() if line.startswith("| `")]
    return [set(re.findall(r"`(\w+)(?:\.py)?`", column)) for column in first_columns]


@pytest.mark.parametrize("room", LAYERS)
def test_the_table_has_the_packages_in_the_order_of_the_contract(room: str) -> None:
    layers = [layer - {"apps"} for layer in LAYERS[room]]
    assert rows_of(room) == [layer for layer in layers if layer]
