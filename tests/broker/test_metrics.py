"""Figures of a real broker, from prefork workers and the management API through the database to a real Prometheus."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import yaml
from django.db import transaction
from django.db.models import Sum
from kombu import Connection

from coolthing_site.celery import app
from coolthing_site.demo.environment import free_ports
from messaging.broker import topology
from messaging.broker.management_api import ManagementUnavailable
from messaging.events import ServiceErrorEvent
from messaging.instrumentation import timings
from messaging.models import HandlingBucket, ProcessedEvent, QueueSample
from messaging.observability import queue_stats
from messaging.observability.metrics import PUBLISH_WINDOW_SECONDS, SERVICES
from messaging.publishing.outbox import publish_on_commit
from messaging.tasks import sample_queues
from tests.broker.conftest import StartProcess
from tests.private import Broker
from tests.support import ROOT, Process, wait_until

CONTRACT = ("rabbitmq_queue_messages", "rabbitmq_queue_consumers", "rabbitmq_publish_rate", "rabbitmq_consume_rate")
EVENTS = 30
TOKEN = "a token for the metrics"


class Prometheus:
    """A real one on the shipped configuration; only its targets and its patience are the test's."""

    def __init__(self, folder: Path, web: str, broker: str) -> None:
        shipped = ROOT / "deploy" / "prometheus"
        config = yaml.safe_load((shipped / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(shipped / "rules.yml")]
        for job in config["scrape_configs"]:
            if "authorization" in job:
                job["authorization"]["credentials_file"] = "metrics_token"
            job["static_configs"] = [{"targets": [{"coolthing": web, "rabbitmq": broker}[job["job_name"]]]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        (folder / "metrics_token").write_text(TOKEN)
        address = f"127.0.0.1:{free_ports(1)[0]}"
        options = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={address}"]
        with (folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["prometheus", *options], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._client = httpx2.Client(base_url=f"http://{address}/api/v1/", trust_env=False)

    def get(self, path: str, **query: str) -> Any:
        """The answer's data, or None while it is not up."""
        try:
            answer = self._client.get(path, params=query).raise_for_status()
        except httpx2.HTTPError:
            return None
        return answer.json()["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        found = self.get("query", query=expression) or {"result": []}
        return [(row["metric"], float(row["value"][1])) for row in found["result"]]

    def values(self, expression: str, label: str) -> dict[str, float]:
        """Value by label; two series of one label would hide each other, so there must not be any."""
        rows = self.query(expression)
        found = {labels[label]: value for labels, value in rows}
        assert len(found) == len(rows), rows
        return found

    def end(self) -> None:
        self._client.close()
        self._process.kill()
        self._process.wait(10)


@pytest.fixture
def web(start_process: StartProcess) -> str:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    gunicorn = ("-m", "gunicorn", "coolthing_site.wsgi", "--bind", address, "--threads", "4")
    process = start_process(*gunicorn, METRICS_TOKEN=TOKEN)
    process.wait_for_log("Listening at")
    return address


@pytest.fixture
def prometheus(tmp_path: Path, web: str) -> Iterator[Prometheus]:
    running = Prometheus(tmp_path, web, urlsplit(os.environ["RABBITMQ_PROMETHEUS_URL"]).netloc)
    yield running
    running.end()


def notifier(start_process: StartProcess, name: str = "notifier") -> Process:
    worker = start_process(
        "celery", "-A", "coolthing_site", "worker", "-Q", topology.NOTIFIER_QUEUE, "-n", f"{name}@test",
        "--concurrency=2", "-l", "INFO",
    )  # fmt: skip
    worker.wait_for_log("ready.")
    return worker


def publish(count: int) -> None:
    with transaction.atomic():
        publish_on_commit(*(ServiceErrorEvent(service="parser", reason=str(number)) for number in range(count)))


def counted(metric: str) -> int:
    rows = HandlingBucket.objects.filter(metric=metric, subscription=topology.NOTIFIER_QUEUE)
    return rows.aggregate(n=Sum("count"))["n"] or 0


def answers(broker: Broker) -> dict[str, tuple[int, int, float]]:
    """What the management API says, in the terms of a sample."""
    rows = broker.api.in_vhost("queues", msg_rates_age=queue_stats.SAMPLE_SECONDS, msg_rates_incr=5)
    return {
        row["name"]: (
            row.get("messages", 0),
            row.get("consumers", 0),
            row.get("message_stats", {}).get("ack_details", {}).get("avg_rate", 0.0),
        )
        for row in rows
        # Workers have mailboxes of their own.
        if topology.TOPOLOGY.has_queue(row["name"])
    }


def sampled(broker: Broker) -> dict[str, tuple[int, int, float]]:
    """One look that was surely made while the broker said this: it said so before and after."""

    def look() -> dict[str, tuple[int, int, float]]:
        before = answers(broker)
        sample_queues()
        same = before == answers(broker) and before[topology.NOTIFIER_QUEUE][2] > 0
        # The broker's own statistics may be five seconds behind.
        recent = before[topology.LEADS_QUEUE][0] == 2 and before[topology.NOTIFIER_QUEUE][1] == 1
        return before if same and recent else {}

    return wait_until(look, timeout=60, what="figures that stand still")


def test_prometheus_has_the_wire_contracts_metrics_once_and_with_the_brokers_figures(
    broker: Broker, start_process: StartProcess, prometheus: Prometheus
):
    start_process("manage.py", "relay_events").wait_for_log("relay: publishing")
    notifier(start_process)
    for number in range(2):
        broker.publish(topology.LEADS_EXCHANGE, "lead.1", str(number).encode())
    publish(EVENTS)
    wait_until(lambda: ProcessedEvent.objects.filter(subscription=topology.NOTIFIER_QUEUE).count() == EVENTS)
    figures_by_queue = sampled(broker)

    messages = {queue: float(figures[0]) for queue, figures in figures_by_queue.items()}
    wait_until(lambda: prometheus.values(CONTRACT[0], "queue") == messages, what="the messages")
    consumers = {queue: float(figures[1]) for queue, figures in figures_by_queue.items()}
    # The counts of messages may be those of an earlier look, which had other consumers.
    wait_until(lambda: prometheus.values(CONTRACT[1], "queue") == consumers, what="the consumers")
    assert consumers[topology.NOTIFIER_QUEUE] == 1
    # Queues that other tests used a moment ago may still show a rate: the broker's word counts for each of them.
    acks = {
        service: sum(figures_by_queue[q][2] for q, s in topology.SERVICES.items() if s == service)
        for service in SERVICES
    }
    assert acks["notifier"] > 0
    wait_until(lambda: prometheus.values(CONTRACT[3], "service") == pytest.approx(acks), what="the rates")
    assert prometheus.values(f"max_over_time({CONTRACT[2]}[1h])", "service") == {
        **dict.fromkeys(SERVICES, 0.0),
        "parser": EVENTS / PUBLISH_WINDOW_SECONDS,
    }


def test_the_brokers_metrics_of_the_same_names_are_dropped(broker: Broker, prometheus: Prometheus):
    sample_queues()
    own = httpx2.get(os.environ["RABBITMQ_PROMETHEUS_URL"], trust_env=False).text
    assert "\nrabbitmq_queue_messages " in own
    assert "\nrabbitmq_queue_consumers " in own
    wait_until(lambda: prometheus.query('rabbitmq_connections{job="rabbitmq"}'), what="a scrape of the broker")
    wait_until(lambda: prometheus.query(CONTRACT[0]), what="a scrape of ours")
    names = "|".join(CONTRACT)
    for labels, _ in prometheus.query(f'{{__name__=~"{names}"}}'):
        assert labels["job"] == "coolthing"
        assert set(labels) - {"__name__", "job", "instance"} in ({"queue"}, {"service"})
    found = prometheus.values(f'count by (__name__) ({{__name__=~"{names}"}})', "__name__")
    assert found == dict(zip(CONTRACT, [len(topology.TOPOLOGY.queues)] * 2 + [len(SERVICES)] * 2, strict=True))


def test_alerts_of_the_shipped_rules_are_evaluated(broker: Broker, prometheus: Prometheus):
    def rules() -> list[dict[str, Any]]:
        groups = (prometheus.get("rules") or {"groups": []})["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        return found if found and all(rule["health"] != "unknown" for rule in found) else []

    evaluated = wait_until(rules, what="an evaluation of the rules")
    assert [rule["name"] for rule in evaluated if rule["health"] != "ok"] == []


def test_handlers_of_several_processes_are_counted_once_each_also_by_a_worker_that_ends(
    broker: Broker, start_process: StartProcess
):
    start_process("manage.py", "relay_events").wait_for_log("relay: publishing")
    workers = [notifier(start_process, name) for name in ("one", "other")]
    publish(EVENTS)
    wait_until(lambda: counted(timings.HANDLER_SECONDS) == EVENTS, what="the handlers' seconds")
    assert counted(timings.EVENT_AGE_SECONDS) == EVENTS
    publish(EVENTS)
    wait_until(lambda: ProcessedEvent.objects.filter(subscription=topology.NOTIFIER_QUEUE).count() == 2 * EVENTS)
    for worker in workers:
        worker.stop()
    assert counted(timings.HANDLER_SECONDS) == counted(timings.EVENT_AGE_SECONDS) == 2 * EVENTS


def test_while_the_management_api_is_away_the_last_figures_stay(broker: Broker, settings: Any):
    sample_queues()
    before = queue_stats.snapshot()
    assert before.queues.keys() == {queue.name for queue in topology.TOPOLOGY.queues}
    settings.RABBITMQ_MANAGEMENT_URL = f"http://nobody@127.0.0.1:{free_ports(1)[0]}"
    sample_queues()
    after = queue_stats.snapshot()
    assert after.queues == before.queues
    assert after.age_seconds is not None
    assert before.age_seconds is not None
    assert after.age_seconds > before.age_seconds
    with pytest.raises(ManagementUnavailable):
        queue_stats.sample()


def test_the_maintenance_worker_takes_the_figures(broker: Broker, start_process: StartProcess):
    worker = start_process(
        "celery", "-A", "coolthing_site", "worker", "-Q", topology.MAINTENANCE_QUEUE, "-n", "maintenance@test",
        "--pool=threads", "--concurrency=2", "-l", "INFO",
    )  # fmt: skip
    worker.wait_for_log("ready.")
    with Connection(broker.url) as connection:
        app.send_task("messaging.tasks_stats.sample_queues", connection=connection)
    wait_until(lambda: QueueSample.objects.filter(queue=topology.LEADS_QUEUE).exists(), what="a look at the broker")
