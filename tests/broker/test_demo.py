"""The demo itself, as an operator starts it, where the clock shows three at night."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT

MINUTES = 60


def test_demo_at_three_at_night_ends_with_equal_ledgers(tmp_path: Path):
    report_file = tmp_path / "report.json"
    demo = subprocess.run(
        [sys.executable, "manage.py", "demo", "--local-hour", "3", "--json", str(report_file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=8 * MINUTES,
    )
    assert demo.returncode == 0, demo.stdout[-6000:] + demo.stderr[-4000:]
    report = json.loads(report_file.read_text())
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
