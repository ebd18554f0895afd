"""What is shipped for Prometheus and Grafana is valid, and asks for metrics that exist."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from messaging.observability import metrics
from tests.support import ROOT

DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "coolthing.json").read_text())
NAMES = re.compile(r"\b(?:rabbitmq|coolthing)_[a-z_]+")
# Written down where they are made; reading them from the database is for tests that have one.
EXPORTED = set(NAMES.findall(Path(metrics.__file__).read_text()))
# The broker's own, from its prometheus plugin.
BROKERS = {"rabbitmq_connections"}


@pytest.mark.parametrize(
    "arguments",
    [("check", "config", "prometheus.yml"), ("check", "rules", "rules.yml"), ("test", "rules", "rules_test.yml")],
    ids=" ".join,
)
def test_promtool_accepts_it(arguments: tuple[str, ...], tmp_path: Path):
    place = tmp_path / "deploy" / "prometheus"
    shutil.copytree(DEPLOY / "prometheus", place)
    # As `make up` writes it.
    (tmp_path / ".run").mkdir()
    (tmp_path / ".run" / "metrics_token").write_text("a token")
    done = subprocess.run(["promtool", *arguments], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_ask_for_metrics_that_exist():
    asked = set(NAMES.findall((DEPLOY / "prometheus" / "rules.yml").read_text()))
    assert asked
    assert asked - EXPORTED == set()


def test_the_dashboard_asks_for_metrics_that_exist():
    asked = {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", [])
        for name in NAMES.findall(target["expr"])
    }
    assert len(asked) > 8
    assert asked - EXPORTED - BROKERS == set()


def test_the_dashboards_panels_do_not_overlap():
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
