"""`GET /api/sfc/{id}/progress/`."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone
from rest_framework.test import APIClient

from bots.models import Delivery
from coolthing_site.api.tokens import token_issue
from scripts import services
from scripts.models import Play
from tests.integration.script_world import make_assignment, play_on, queued, settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> APIClient:
    watcher = User.objects.create(username="watcher")
    watcher.user_permissions.set(Permission.objects.filter(codename="view_assignment"))
    return with_token(watcher)


def with_token(user: User) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token_issue(user=user, name='test')[1]}")
    return client


def url(assignment_id: object) -> str:
    return f"/api/sfc/{assignment_id}/progress/"


def playing(**options):
    assignment = make_assignment(**options)
    services.assignment_activate(assignment_id=assignment.pk)
    services.assignment_prepare(assignment_id=str(assignment.pk))
    return assignment


def test_nobody_reads_it_without_a_token():
    assert APIClient().get(url(make_assignment().pk)).status_code == 401


def test_a_login_that_may_not_view_assignments_gets_no_texts():
    stranger = User.objects.create(username="stranger", is_staff=True)
    by_session = APIClient()
    by_session.force_login(stranger)
    for client in (with_token(stranger), by_session):
        answer = client.get(url(make_assignment(slug=uuid.uuid4().hex[:8]).pk))
        assert answer.status_code == 403 and "runs" not in answer.json()


def test_an_unknown_id_is_not_found(client):
    assert client.get(url(uuid.uuid4())).status_code == 404


def test_it_cannot_be_written(client):
    assert client.post(url(make_assignment().pk)).status_code == 405


def test_a_draft_has_no_plays(client):
    body = client.get(url(make_assignment().pk)).json()
    assert (body["state"], body["planned"], body["runs"]) == ("draft", 0, [])


def test_it_reports_what_was_sent_and_what_the_rest_waits_for(client):
    assignment = playing()
    settle(queued(assignment)[0])
    waiting = queued(assignment)[1]
    Delivery.objects.filter(pk=waiting.pk).update(waiting_reason="quiet hours", state="sending")
    body = client.get(url(assignment.pk)).json()
    assert {key: body[key] for key in ("state", "planned", "said", "not_said", "leaving")} == {
        "state": "playing", "planned": 6, "said": 1, "not_said": 0, "leaving": 1,
    }  # fmt: skip
    first, second = body["runs"]
    assert (first["chat"], first["state"], first["planned"], first["said"]) == ("talk-0", "playing", 3, 1)
    assert [step["state"] for step in first["steps"]] == ["said", "queued", "pending"]
    assert first["steps"][0]["said_at"] and first["steps"][0]["telegram_message_id"] == 1
    assert first["steps"][0]["bot"] == "talk-host" and first["steps"][0]["slot"] == "host"
    assert second["steps"][0]["waiting_reason"] == "quiet hours" and second["steps"][0]["waiting_until"]


def test_plays_of_a_paused_script_are_shown_as_paused(client):
    assignment = playing(chats=1)
    services.assignment_pause(assignment_id=assignment.pk, reason="lunch")
    play = client.get(url(assignment.pk)).json()["runs"][0]
    assert (play["state"], play["reason"]) == ("paused", "lunch")


def test_lines_that_were_not_sent_have_their_reason(client):
    assignment = playing(chats=1)
    play_on(assignment, refused=(3,))
    body = client.get(url(assignment.pk)).json()
    assert (body["state"], body["said"], body["not_said"]) == ("finished", 2, 1)
    assert body["runs"][0]["steps"][2]["reason"] == "not here"


def test_many_plays_take_no_more_queries_and_come_by_the_page(client, django_assert_num_queries):
    assignment = playing(chats=12)
    # Failed tokens, the token and its use, its owner's two kinds of permissions and requests, the script, two counts,
    # the plays, counts, steps.
    with django_assert_num_queries(11):
        first = client.get(url(assignment.pk), {"limit": 7}).json()
    second = client.get(url(assignment.pk), {"limit": 7, "after": first["more_after"]}).json()
    assert (len(first["runs"]), len(second["runs"]), second["more_after"]) == (7, 5, "")
    assert first["planned"] == second["planned"] == 36
    assert len({play["chat"] for play in first["runs"] + second["runs"]}) == 12


def test_it_answers_for_one_play_or_chat_or_for_what_changed(client):
    assignment = playing(chats=3)
    Play.objects.filter(assignment=assignment).update(progressed_at=timezone.now() - timedelta(hours=1))
    moved = queued(assignment)[1]
    settle(moved)
    play = moved.step.play
    since = (timezone.now() - timedelta(minutes=1)).isoformat()
    for parameters in ({"run": play.pk}, {"chat": play.chat.key}, {"since": since}):
        assert [shown["id"] for shown in client.get(url(assignment.pk), parameters).json()["runs"]] == [str(play.pk)]


@pytest.mark.parametrize("parameters", [{"limit": 0}, {"limit": 201}, {"run": "x"}, {"since": "yesterday"}])
def test_an_invalid_parameter_is_refused(client, parameters):
    assert client.get(url(make_assignment().pk), parameters).status_code == 400
