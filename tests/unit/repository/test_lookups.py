"""How rows are looked up, by the words of the code."""

from tests.support import ROOT

ROOMS = (
    "bots",
    "campaigns",
    "coolthing_site",
    "leads",
    "messaging",
    "notifier",
    "panelkit",
    "parser",
    "privacy",
    "scripts",
)


def test_no_name_is_looked_up_in_another_way_than_the_indexes_have_it():
    """`iexact` is UPPER(), and no index of ours but the ledger's is: use `campaigns.identifiers.named` or
    `addressed_as`."""
    code = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    assert len(code) > 200
    assert [str(path) for path in code if "__iexact" in path.read_text()] == []
