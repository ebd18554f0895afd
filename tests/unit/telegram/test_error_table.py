"""The error table against the methods that are called and the errors that they are known to answer."""

import ast
import csv
import re
from pathlib import Path

from telethon.errors import rpcerrorlist
from telethon.tl import functions

from sandbox.mtproto.rpc import method_name
from telegram.error_table import ENTRIES, entry_of
from tests.support import ROOT

EXTRACT = Path(__file__).with_name("telegram_methods.csv")
# What Telethon sends for us: connecting, updates.
BY_TELETHON = frozenset(
    {
        "help.getConfig",
        "initConnection",
        "invokeWithLayer",
        "invokeWithoutUpdates",
        "updates.getState",
        "updates.getDifference",
        "updates.getChannelDifference",
    }
)
ANY_METHOD = "*"


def extract() -> dict[str, set[str]]:
    lines = [line for line in EXTRACT.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {row["method"]: set(row["errors"].split()) for row in csv.DictReader(lines)}


def called() -> set[str]:
    """TL's names of the requests that telegram/ makes: each `functions.….…Request` in its code."""
    found = set()
    for path in (ROOT / "telegram").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr.endswith("Request"):
                room = node.value.attr if isinstance(node.value, ast.Attribute) else ""
                kind = getattr(getattr(functions, room) if room else functions, node.attr)
                found.add(method_name(kind.__new__(kind)))
    return found


def test_the_extract_has_the_methods_that_are_called_and_no_others():
    assert set(extract()) - {ANY_METHOD} == called() | BY_TELETHON


def test_every_error_that_the_methods_answer_is_in_the_table():
    known = set().union(*extract().values())
    assert sorted(name for name in known if entry_of(name) is None) == []


def test_every_row_is_an_error_that_somebody_lists_or_says_why_nobody_does():
    listed = set().union(*extract().values()) | set(rpcerrorlist.rpc_errors_dict)
    listed |= {re.sub(r"\(\\d\+\)", "X", pattern) for pattern, _ in rpcerrorlist.rpc_errors_re}
    assert [entry.error for entry in ENTRIES if entry.error not in listed and not entry.note] == []
    assert [entry.error for entry in ENTRIES if entry.error in listed and entry.note] == []


def test_the_table_names_each_error_once():
    names = [entry.error for entry in ENTRIES]
    assert sorted(names) == sorted(set(names))


def test_names_with_a_number_or_a_word_in_them_are_found():
    assert [(found.error if (found := entry_of(name)) else None) for name in ("FLOOD_WAIT_42", "USER_MIGRATE_4")] == [
        "FLOOD_WAIT_X",
        "USER_MIGRATE_X",
    ]
    assert entry_of("CHAT_SEND_PLAIN_FORBIDDEN") is not None
    assert entry_of("FLOOD_WAIT_SOON") is None
    assert entry_of("SOMETHING_NEW") is None
