"""The watchdog: what it reports, how often, what it repairs and what it ends."""

from datetime import timedelta

import pytest
from django.utils import timezone

from bots.models import Bot, BotSession, Delivery
from campaigns.models import Campaign
from messaging.models import OutboxEvent
from scripts import services
from scripts.models import Assignment, Play, Step
from scripts.services import controls
from tests.integration.script_world import LINES, make_assignment, play_on, queued, settle

pytestmark = pytest.mark.django_db
LATER = timedelta(minutes=3)


def playing(**options) -> Assignment:
    assignment = make_assignment(**options)
    services.assignment_activate(assignment_id=assignment.pk)
    services.assignment_arm(assignment_id=str(assignment.pk))
    services.assignment_prepare(assignment_id=str(assignment.pk))
    return assignment


def crashes() -> list[str]:
    return [row.body for row in OutboxEvent.objects.filter(routing_key="scripts.crash").order_by("id")]


def sweep(after: timedelta = timedelta()) -> None:
    services.plays_supervise(now=timezone.now() + after)


def test_a_play_that_goes_on_is_left_alone():
    playing()
    sweep()
    assert not crashes() and not Play.objects.exclude(incident="").exists()


def test_overdue_lines_are_one_event_a_script_and_are_not_reported_again():
    playing(chats=5)
    sweep(LATER)
    sweep(LATER)
    (crash,) = crashes()
    assert "line 1 has been overdue" in crash and "no worker runs it" in crash and "and 2 more" in crash
    assert Play.objects.exclude(incident="").count() == 5


def test_a_play_that_waits_for_a_login_has_not_crashed_and_its_incident_advises_what_to_do():
    playing(chats=1)
    BotSession.objects.all().delete()
    sweep(LATER)
    error = OutboxEvent.objects.get(routing_key="scripts.error").body
    assert "talk-host is not logged in: log it in" in error and not crashes()
    assert "talk-host is not logged in: log it in" in Play.objects.get().incident


def test_an_incident_ends_with_the_next_line_and_a_new_one_is_reported():
    assignment = playing(chats=1)
    sweep(LATER)
    settle(queued(assignment)[0])
    assert Play.objects.get().incident == ""
    sweep(LATER)
    assert len(crashes()) == 2 and "line 2 has been overdue" in crashes()[1]


@pytest.mark.parametrize("hold", ["waits for the gate", "campaign paused", "script paused", "not armed"])
def test_what_waits_for_a_reason_is_not_overdue(hold):
    assignment = playing(chats=1)
    if hold == "waits for the gate":
        Delivery.objects.update(waiting_until=timezone.now() + timedelta(hours=9), waiting_reason="quiet hours")
    elif hold == "campaign paused":
        Campaign.objects.update(state="paused")
    elif hold == "script paused":
        services.assignment_pause(assignment_id=assignment.pk)
    else:
        Assignment.objects.update(supervised_at=None)
    sweep(LATER)
    assert not crashes()


def test_the_reason_of_a_wait_without_end_is_reported():
    playing(chats=1)
    far = timezone.now() + timedelta(hours=1)
    Bot.objects.update(state=Bot.State.ONLINE, lease_expires_at=far)
    Delivery.objects.update(waiting_reason="it is joining the chat")
    sweep(LATER)
    assert "it is joining the chat" in crashes()[0]


def test_a_play_whose_next_speaker_is_banned_fails_with_the_reason():
    assignment = playing(chats=2)
    settle(queued(assignment)[0])
    Bot.objects.filter(key="talk-host").update(state=Bot.State.BANNED)
    sweep()
    failed = Play.objects.get(state="failed")
    assert failed.state_reason == "failed: talk-host, which has to send line 1, is banned"
    assert set(failed.steps.values_list("state", flat=True)) == {"not_said"}
    assert Delivery.objects.get(state="cancelled").step.play == failed
    assert len(crashes()) == 1 and Play.objects.filter(state="playing").count() == 1
    settle(queued(assignment)[0])
    sweep()
    assignment.refresh_from_db()
    assert assignment.state == "failed" and len(crashes()) == 2
    assert OutboxEvent.objects.filter(routing_key="scripts.finished").count() == 1


def test_a_step_whose_delivery_settled_without_settling_the_step_is_continued():
    assignment = playing(chats=1)
    Delivery.objects.update(state="sent", telegram_message_id=7, sent_at=timezone.now())
    sweep()
    assert [step.state for step in Step.objects.all()] == ["said", "queued", "pending"]
    assert "was interrupted, and has been resumed" in crashes()[0]
    sweep()
    assert len(crashes()) == 1
    play_on(assignment)
    assert Assignment.objects.get().state == "finished"


def test_a_play_whose_next_delivery_is_missing_goes_on():
    assignment = playing(chats=1)
    Step.objects.update(state="pending", delivery=None)
    Delivery.objects.all().delete()
    sweep()
    assert len(queued(assignment)) == 1 and Step.objects.get(position=1).state == "queued"


def test_a_stop_that_was_cut_off_is_finished():
    playing(chats=2)
    Assignment.objects.update(state="stopped", state_reason="enough")
    sweep()
    assignment = Assignment.objects.get()
    assert assignment.finished_at and set(Play.objects.values_list("state", flat=True)) == {"stopped"}
    assert set(Delivery.objects.values_list("state", flat=True)) == {"cancelled"}


def test_a_large_play_is_stopped_at_once_and_cleared_sweep_by_sweep(monkeypatch):
    monkeypatch.setattr(controls, "CLEARED_AT_ONCE", 2)
    assignment = playing(chats=5)
    stopped = services.assignment_stop(assignment_id=assignment.pk)
    assert stopped.state == "stopped" and stopped.finished_at is None
    sweep()
    sweep()
    assignment.refresh_from_db()
    assert assignment.finished_at and not Delivery.objects.filter(state="queued").exists()


def test_a_failure_that_was_cut_off_is_finished():
    playing(chats=1)
    Play.objects.update(state="failed", state_reason="because", finished_at=timezone.now())
    sweep()
    assert Assignment.objects.get().state == "failed"
    assert set(Step.objects.values_list("state", flat=True)) == {"not_said"}


def test_what_is_activated_and_never_prepared_is_reported_once():
    assignment = make_assignment()
    services.assignment_activate(assignment_id=assignment.pk)
    services.assignment_arm(assignment_id=str(assignment.pk))
    sweep()
    assert not crashes()
    sweep(LATER)
    sweep(LATER)
    assert len(crashes()) == 1 and "still not prepared" in crashes()[0]


def test_a_sweep_over_many_plays_takes_few_queries(django_assert_max_num_queries):
    playing(chats=30, lines=LINES[:1])
    with django_assert_max_num_queries(12):
        sweep()
