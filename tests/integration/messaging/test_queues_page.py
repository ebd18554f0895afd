"""The page "Queues": what it shows in each state, and pausing and resuming from it."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from messaging.broker import topology
from messaging.models import QueueControl, QueueSample
from tests.integration.bus_world import make_samples

pytestmark = pytest.mark.django_db

PAGE = "/admin/queues/"


def person(*rights: str, staff: bool = True) -> Client:
    user = User.objects.create_user(f"person-{User.objects.count()}", is_staff=staff)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator() -> Client:
    return person("view_queuecontrol", "change_queuecontrol")


def shown(client: Client) -> str:
    answer = client.get(PAGE)
    assert answer.status_code == 200
    return answer.content.decode()


def row(client: Client, queue: str) -> Any:
    return next(row for row in client.get(PAGE).context["rows"] if row.queue == queue)


def test_only_staff_who_may_see_queues_see_them(operator: Client):
    assert Client().get(PAGE).status_code == 302
    assert person("view_queuecontrol", staff=False).get(PAGE).status_code == 302
    assert person().get(PAGE).status_code == 403
    assert person("view_queuecontrol").get(PAGE).status_code == 200


def test_before_the_first_sample_the_page_shows_what_is_missing(operator: Client):
    text = shown(operator)
    assert "No figures yet" in text
    assert all(queue in text for queue in topology.SERVICES)


def test_fresh_figures_are_shown_without_a_warning(operator: Client):
    make_samples(40, leads_queue={"published": 1_234_560})
    make_samples(
        leads_queue={"ready": 1234, "unacked": 5, "consumers": 3, "published": 1_236_000, "publish_rate": 7.5},
        leads_dlq={"ready": 6},
    )
    text = shown(operator)
    assert "These figures are" not in text
    assert "1,234" in text
    assert "7.5" in text
    leads = row(operator, topology.LEADS_QUEUE)
    assert (leads.dead, leads.head.at_least) == (6, False)
    assert leads.waiting.line.startswith("M")
    assert row(operator, topology.ACTOR_BOTS_QUEUE).dead is None


def test_figures_of_a_broker_that_is_away_stay_with_their_age(operator: Client):
    make_samples(600, leads_queue={"ready": 77})
    text = shown(operator)
    assert "These figures are 10 min old." in text
    assert ">77<" in text
    assert "Check whether the broker, its management API, beat and the maintenance worker are running." in text


def test_a_pause_that_stops_the_sampler_is_named_as_the_reason(operator: Client):
    make_samples(600)
    QueueControl.objects.create(queue=topology.MAINTENANCE_QUEUE, paused=True)
    assert "No newer figures arrive while maintenance_queue is paused. Resume it." in shown(operator)


def test_a_queue_that_the_broker_does_not_have_is_shown(operator: Client):
    make_samples()
    QueueSample.objects.filter(queue=topology.LEADS_QUEUE).delete()
    assert "The broker does not have this queue." in shown(operator)


def test_a_queue_without_consumers_is_marked_unless_it_is_paused(operator: Client):
    make_samples(leads_queue={"consumers": 0}, llm_queue={"consumers": 0})
    QueueControl.objects.create(queue=topology.LLM_QUEUE, paused=True, reason="the model is ill", changed_by="ann")
    assert row(operator, topology.LEADS_QUEUE).has_no_consumer
    assert not row(operator, topology.LLM_QUEUE).has_no_consumer
    text = shown(operator)
    assert "the model is ill" in text
    assert "ann" in text


def test_pausing_asks_for_a_reason_and_remembers_who(operator: Client):
    address = f"{PAGE}leads_queue/pause/"
    assert "Workers still handle the messages that they have prefetched;" in operator.get(address).content.decode()
    assert operator.post(address, {"reason": ""}).status_code == 200
    assert not QueueControl.objects.filter(paused=True).exists()
    assert operator.post(address, {"reason": "too many leads"}).status_code == 302
    control = QueueControl.objects.get(queue="leads_queue")
    assert (control.paused, control.reason, control.changed_by) == (True, "too many leads", "person-0")
    assert LogEntry.objects.get().change_message == "Pause. too many leads"


def test_resuming_takes_the_pause_away(operator: Client):
    QueueControl.objects.create(queue="leads_queue", paused=True, reason="too many leads", changed_by="ann")
    address = f"{PAGE}leads_queue/resume/"
    assert operator.get(address).status_code == 405
    assert operator.post(address).status_code == 302
    assert not QueueControl.objects.get(queue="leads_queue").paused


def test_who_may_only_look_cannot_pause():
    onlooker = person("view_queuecontrol")
    QueueControl.objects.create(queue="llm_queue", paused=True)
    assert onlooker.post(f"{PAGE}leads_queue/pause/", {"reason": "x"}).status_code == 403
    assert onlooker.post(f"{PAGE}llm_queue/resume/").status_code == 403
    assert "/pause/" not in shown(onlooker)


def test_a_queue_without_consumers_of_ours_cannot_be_paused(operator: Client):
    assert operator.post(f"{PAGE}leads_dlq/pause/", {"reason": "x"}).status_code == 404
    assert operator.post(f"{PAGE}nothing/resume/").status_code == 404


def test_a_service_is_paused_with_all_its_queues_and_each_is_logged(operator: Client):
    address = f"{PAGE}services/manager/pause/"
    assert "leads_queue, llm_queue" in operator.get(address).content.decode()
    assert operator.post(address, {"reason": "no model"}).status_code == 302
    assert set(QueueControl.objects.filter(paused=True).values_list("queue", "reason")) == {
        ("leads_queue", "no model"),
        ("llm_queue", "no model"),
    }
    assert LogEntry.objects.count() == 2
    assert "partly paused" not in shown(operator)
    operator.post(f"{PAGE}llm_queue/resume/")
    assert "partly paused" in shown(operator)
    assert operator.post(f"{PAGE}services/manager/resume/").status_code == 302
    assert not QueueControl.objects.filter(paused=True).exists()


def test_a_service_is_paused_only_by_those_who_may_and_only_if_there_is_one(operator: Client):
    assert person("view_queuecontrol").post(f"{PAGE}services/bots/pause/", {"reason": "x"}).status_code == 403
    assert operator.post(f"{PAGE}services/nothing/pause/", {"reason": "x"}).status_code == 404
    assert operator.post(f"{PAGE}services/parser/resume/").status_code == 404


def test_flower_is_one_click_away(operator: Client, settings: Any):
    settings.FLOWER_URL = "https://flower.example.org/"
    assert 'href="https://flower.example.org/"' in shown(operator)
