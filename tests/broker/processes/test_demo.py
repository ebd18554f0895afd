"""The demo itself, as an operator starts it, where the clock shows three at night; and what it leaves behind."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.broker.processes.demo_remains import DEMO_DIR, Played, play
from tests.support import ROOT

MINUTES = 60
# The fixture gives up before.
pytestmark = pytest.mark.timeout(10 * MINUTES)


@pytest.fixture(scope="module")
def report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "report.json"


@pytest.fixture(scope="module")
def played(report_file: Path) -> Iterator[Played]:
    yield play("--local-hour", "3", "--json", str(report_file), timeout=8 * MINUTES)


@pytest.fixture
def report(played: Played, report_file: Path) -> dict[str, Any]:
    assert played.code == 0, played.output[-8000:]
    return dict(json.loads(report_file.read_text()))


def test_demo_at_three_at_night_ends_with_equal_ledgers(report: dict[str, Any]):
    assert report["problems"] == []
    assert report["scripts"]["lines_said"] == report["scripts"]["lines_planned"] >= 24
    assert report["leads"]["created"] == report["leads"]["expected"] >= 20
    assert report["leads"]["opted_out"] >= 1
    assert report["bus"]["published"] > 0
    assert report["bus"]["dead_lettered"] == 0
    assert report["bus"]["handled"] >= report["bus"]["published"]
    assert report["ledger"]["matches"] is True
    assert report["ledger"]["duplicates"] == 0
    assert report["latency_ms"]["hit_to_lead_p99"] > 0


def test_demo_leaves_no_secret_behind_in_logs_rows_files_or_flower(played: Played, report: dict[str, Any]):
    secrets = played.secrets()
    assert {"a phone", "a session's key", "TELEGRAM_API_HASH", "OPENAI_API_KEY"} <= set(secrets.values())
    assert len(played.flower) > 100, "Flower has shown no tasks"
    rows = dict(played.rows())
    # The search would find something: rows are there, and so is a bot's name in them.
    assert "parser-" in rows["table bots_bot"] or "actor" in rows["table bots_bot"]
    places = [
        *played.logs(),
        *rows.items(),
        ("Flower's tasks", json.dumps(played.flower)),
        *((file.name, file.read_text(errors="replace")) for file in _files()),
    ]
    assert [(where, secrets[name]) for where, text in places for name in secrets if name in text] == []


def test_demo_logs_no_message_texts_and_flower_shows_none(played: Played, report: dict[str, Any]):
    texts = played.texts()
    assert len(texts) > 50
    tasks = json.dumps(played.flower, ensure_ascii=False)
    assert _found(texts, [*played.logs(), ("Flower's tasks", tasks)]) == []


def _files() -> list[Path]:
    """What the notifier wrote."""
    return [*DEMO_DIR.rglob("*.jsonl"), *(ROOT / ".run" / "notifications").glob("*.jsonl")]


def _found(words: Iterable[str], places: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(where, word) for where, text in places for word in words if word in text]
