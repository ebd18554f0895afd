"""`/metrics`: who may read it, and that its figures are those of the database."""

import subprocess
from typing import Any

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from bots.models import Bot, Cursor, Delivery
from coolthing_site.checks import metrics_have_a_token
from coolthing_site.web.metrics_view import _warn_once
from messaging.broker import topology
from messaging.models import DeadLetter, QueueControl
from messaging.observability.metrics import SERVICES
from tests.integration.bus_world import ago, make_letter, make_outbox, make_samples

pytestmark = pytest.mark.django_db

ELSEWHERE = {"REMOTE_ADDR": "192.0.2.7"}
TOKEN: dict[str, Any] = {"HTTP_AUTHORIZATION": "Bearer correct"}


@pytest.fixture(autouse=True)
def _token(settings: Any) -> None:
    settings.METRICS_TOKEN = "correct"


def scraped() -> dict[tuple[str, str], float]:
    """(name, value of its label) → value; each series once."""
    answer = Client().get("/metrics", **TOKEN)
    assert answer.status_code == 200
    found: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(answer.content.decode()):
        for sample in family.samples:
            key = (sample.name, ",".join(sample.labels.values()))
            assert key not in found
            found[key] = sample.value
    return found


def status(**headers: Any) -> int:
    return Client().get("/metrics", **headers).status_code


def test_without_the_token_not_even_this_machine_may_read():
    """A proxy on this machine asks from loopback for the whole world."""
    assert status() == 401
    assert status(REMOTE_ADDR="::1") == 401
    assert status(**ELSEWHERE) == 401
    assert status(REMOTE_ADDR="") == 401


def test_the_token_opens_them_from_anywhere():
    assert status(**TOKEN) == 200
    assert status(**TOKEN, **ELSEWHERE) == 200
    assert status(HTTP_AUTHORIZATION="bearer  correct", **ELSEWHERE) == 200
    assert status(HTTP_AUTHORIZATION="Bearer wrong", **ELSEWHERE) == 401
    assert status(HTTP_AUTHORIZATION="Basic correct", **ELSEWHERE) == 401
    assert status(**ELSEWHERE) == 401


def test_without_a_configured_token_nobody_may_read_and_the_reason_is_logged_and_checked(
    settings: Any, caplog: pytest.LogCaptureFixture
):
    settings.METRICS_TOKEN = ""
    _warn_once.cache_clear()
    assert status() == 404
    assert status(HTTP_AUTHORIZATION="Bearer ") == 404
    # Once: anybody may ask.
    assert caplog.text.count("METRICS_TOKEN is not set") == 1
    assert [problem.id for problem in metrics_have_a_token()] == ["coolthing_site.W001"]


def test_prometheus_is_not_sent_to_https(settings: Any):
    settings.SECURE_SSL_REDIRECT = True
    assert status(**TOKEN) == 200
    assert Client().get("/admin/").status_code == 301


def test_promtool_finds_nothing_to_complain_about():
    make_samples()
    text = Client().get("/metrics", **TOKEN).content
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_openmetrics_is_spoken_to_those_who_ask():
    accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    answer = Client().get("/metrics", HTTP_ACCEPT=accept, **TOKEN)
    assert answer["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")


def test_queues_have_the_figures_of_the_newest_look():
    make_samples(30, leads_queue={"ready": 99})
    make_samples(15, leads_queue={"ready": 3, "unacked": 2, "consumers": 4})
    found = scraped()
    assert found["rabbitmq_queue_messages", topology.LEADS_QUEUE] == 5
    assert found["rabbitmq_queue_consumers", topology.LEADS_QUEUE] == 4
    assert 15 <= found["coolthing_queue_figures_age_seconds", ""] < 60
    queues = {label for name, label in found if name == "rabbitmq_queue_messages"}
    assert queues == {queue.name for queue in topology.TOPOLOGY.queues}


def test_before_the_first_look_nothing_is_made_up():
    names = {name for name, _ in scraped()}
    assert not names & {"rabbitmq_queue_messages", "rabbitmq_queue_consumers", "rabbitmq_consume_rate"}
    assert "coolthing_queue_figures_age_seconds" not in names
    assert "rabbitmq_publish_rate" in names


def test_a_service_consumes_what_its_queues_acknowledge():
    make_samples(leads_queue={"ack_rate": 2.5}, llm_queue={"ack_rate": 0.5}, notifier_queue={"ack_rate": 1.0})
    found = scraped()
    rates = {label: value for (name, label), value in found.items() if name == "rabbitmq_consume_rate"}
    assert rates == {**dict.fromkeys(SERVICES, 0.0), "manager": 3.0, "notifier": 1.0}


def test_a_service_publishes_what_was_confirmed_in_the_last_minute():
    for seconds in (1, 20, 50, 61, 3600):
        make_outbox("parser", published_at=ago(seconds))
    make_outbox("scripts", published_at=ago(5))
    make_outbox("scripts")
    found = scraped()
    rates = {label: value for (name, label), value in found.items() if name == "rabbitmq_publish_rate"}
    assert rates == {**dict.fromkeys(SERVICES, 0.0), "parser": 3 / 60, "scripts": 1 / 60}


def test_the_outbox_is_as_old_as_its_oldest_waiting_event():
    make_outbox(created_at=ago(500), published_at=ago(1))
    make_outbox(created_at=ago(400), parked_at=ago(300))
    assert scraped()["coolthing_outbox_age_seconds", ""] == 0
    make_outbox(created_at=ago(90))
    make_outbox(created_at=ago(10))
    found = scraped()
    assert 90 <= found["coolthing_outbox_age_seconds", ""] < 150
    assert found["coolthing_outbox_events", "waiting"] == 2
    assert found["coolthing_outbox_events", "parked"] == 1


def test_dead_letters_count_while_nobody_has_decided():
    make_letter(topology.LEADS_QUEUE)
    make_letter(topology.LEADS_QUEUE, DeadLetter.State.DISCARDED)
    make_letter("")
    found = scraped()
    letters = {label: value for (name, label), value in found.items() if name == "coolthing_dead_letters"}
    assert letters[topology.LEADS_QUEUE] == letters["unroutable"] == 1
    assert letters[topology.SCRIPTS_QUEUE] == 0


def test_a_paused_queue_is_marked():
    QueueControl.objects.create(queue=topology.LEADS_QUEUE, paused=True)
    QueueControl.objects.create(queue=topology.LLM_QUEUE, paused=False)
    found = scraped()
    assert found["coolthing_queue_paused", topology.LEADS_QUEUE] == 1
    assert found["coolthing_queue_paused", topology.LLM_QUEUE] == 0


def test_holes_in_what_bots_hear_are_added_up_by_role():
    for role, gaps, ids in (("parser", 2, 5), ("parser", 1, 1), ("manager", 1, 3)):
        bot = Bot.objects.create(key=f"{role}-{gaps}", role=role)
        Cursor.objects.create(bot=bot, peer_id=-100, gaps=gaps, gap_messages=ids)
    found = scraped()
    roles = ("parser", "manager", "actor")
    assert [found["coolthing_cursor_gaps_total", role] for role in roles] == [3, 1, 0]
    assert [found["coolthing_cursor_gap_messages_total", role] for role in roles] == [6, 3, 0]


def test_messages_that_nobody_knows_to_be_sent_are_an_operators_to_decide():
    page = Client().get("/metrics", **TOKEN).content.decode()
    assert "Deliveries that an operator must mark as sent or not sent" in page
    assert Delivery.State.UNKNOWN.label == "Unknown: an operator must decide whether the message was sent"
