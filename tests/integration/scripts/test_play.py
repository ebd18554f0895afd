"""A play in the database: activated, prepared, sent line by line, ended; and everything that can happen twice."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from bots.gate.origins import origin_named
from bots.gate.verdicts import Allow, Refuse, Wait
from bots.models import Bot, Delivery
from campaigns.models import Campaign
from messaging.broker import topology
from messaging.consuming.subscriptions import handle
from messaging.database.clock import database_clock
from messaging.models import OutboxEvent
from scripts import services, snapshot
from scripts.errors import CannotStart, MoveRefused, UnknownScript
from scripts.models import Assignment, Casting, Play, Step
from tests.integration.script_world import logged_in, make_assignment, make_bot, make_chat, play_on, queued, settle

pytestmark = pytest.mark.django_db


def outbox(key: str) -> list[dict]:
    return [json.loads(row.body) for row in OutboxEvent.objects.filter(routing_key=key).order_by("id")]


def deliver(queue: str, body: dict | None = None) -> None:
    """Hand the last activation (or this body) to the queue's handler, as JSON."""
    text = json.dumps(body) if body is not None else OutboxEvent.objects.get(routing_key="admin.script_created").body
    handle(queue, topology.SCRIPTS_EXCHANGE, "admin.script_created", text.encode())


def prepared(**options) -> Assignment:
    assignment = make_assignment(**options)
    services.assignment_activate(assignment_id=assignment.pk)
    deliver(topology.SCRIPTS_QUEUE)
    deliver(topology.SCRIPTS_WATCHDOG_QUEUE)
    assignment.refresh_from_db()
    return assignment


def verdicts(assignment: Assignment) -> list:
    deliveries = queued(assignment)
    origin = origin_named("scripts.step")
    assert origin is not None
    origin.lock_fences([delivery.origin_id for delivery in deliveries])
    found = origin.verdicts(deliveries, now=database_clock())
    return [found[delivery.pk] for delivery in deliveries]


def test_activation_freezes_the_script_and_publishes_its_id():
    assignment = services.assignment_activate(assignment_id=make_assignment().pk)
    assert assignment.state == "active" and assignment.seed and assignment.activated_at
    assert [line.key for line in snapshot.load(assignment.snapshot)] == ["l1", "l2", "l3"]
    assert [body["script_for_campaign_id"] for body in outbox("admin.script_created")] == [str(assignment.pk)]


def test_a_line_is_played_as_telegram_will_keep_it():
    assignment = prepared(chats=1, lines=(("host", "Two\r\nlines ", None),))
    [delivery] = queued(assignment)
    assert (Step.objects.get().text, delivery.text) == ("Two\nlines", "Two\nlines")


def test_a_second_activation_publishes_nothing():
    assignment = make_assignment()
    services.assignment_activate(assignment_id=assignment.pk)
    services.assignment_activate(assignment_id=assignment.pk)
    assert len(outbox("admin.script_created")) == 1


def test_activation_names_everything_that_is_missing_and_changes_nothing():
    assignment = make_assignment(chats=1)
    Casting.objects.filter(slot__name="guest").delete()
    Bot.objects.filter(key="talk-host").update(state=Bot.State.BANNED)
    assignment.targets.create(chat=make_chat("bare", permitted=False, label=""))
    assignment.script.lines.filter(key="l1").update(text="{Hello")
    Campaign.objects.update(state="draft")
    with pytest.raises(CannotStart) as caught:
        services.assignment_activate(assignment_id=assignment.pk)
    assert caught.value.problems == [
        "campaign “Campaign” is draft, not running",
        "line l1: the { at character 1 has no closing }",
        "slot guest has no account",
        "slot host: talk-host is banned",
        "chat Bare: no permission for scripts is in force: none is on record",
        "chat Bare: it has no label that informs its members about scripts",
    ]
    assignment.refresh_from_db()
    assert assignment.state == "draft" and assignment.snapshot is None and not OutboxEvent.objects.exists()


def test_preparation_makes_a_play_a_chat_and_queues_each_first_line():
    assignment = prepared(chats=3, delay=4)
    assert assignment.state == "playing" and assignment.supervised_at and assignment.started_at
    assert Play.objects.filter(assignment=assignment, state="playing").count() == 3
    assert [step.position for step in Step.objects.filter(state="queued")] == [1, 1, 1]
    assert {delivery.due_at for delivery in queued(assignment)} == {assignment.started_at + timedelta(seconds=4)}
    assert {delivery.text for delivery in queued(assignment)} <= {"Hello all", "Hi all"}
    assert outbox("scripts.started")[0]["chats"] == ["@chat_talk-0", "@chat_talk-1", "@chat_talk-2"]


def test_the_same_seed_draws_the_same_texts_and_chats_differ():
    lines = (("host", "{" + "|".join(str(n) for n in range(1000)) + "}", None),)
    assignment = make_assignment(chats=3, lines=lines)
    Assignment.objects.update(seed=42)
    services.assignment_activate(assignment_id=assignment.pk)
    deliver(topology.SCRIPTS_QUEUE)
    texts = [delivery.text for delivery in queued(assignment)]
    assert len(set(texts)) == 3
    Step.objects.update(delivery=None, state="not_said")
    Delivery.objects.all().delete()
    Play.objects.all().delete()
    Assignment.objects.update(state="active")
    services.assignment_prepare(assignment_id=str(assignment.pk))
    assert [delivery.text for delivery in queued(assignment)] == texts


def test_a_play_is_sent_to_its_end_and_reported_once():
    assignment = prepared()
    play_on(assignment)
    assignment.refresh_from_db()
    assert assignment.state == "finished" and assignment.finished_at
    assert set(Play.objects.values_list("state", flat=True)) == {"finished"}
    assert set(Step.objects.values_list("state", flat=True)) == {"said"}
    finished = outbox("scripts.finished")
    assert len(finished) == 1 and finished[0]["problems"] == [] and finished[0]["sfc_id"] == str(assignment.pk)


def test_a_line_answers_the_message_of_the_line_it_names():
    assignment = prepared(chats=1)
    first = queued(assignment)[0]
    settle(first)
    assert queued(assignment)[0].reply_to_id == first.pk


def test_lines_edited_after_activation_are_not_played():
    assignment = make_assignment(chats=1)
    services.assignment_activate(assignment_id=assignment.pk)
    assignment.script.lines.update(text="edited")
    deliver(topology.SCRIPTS_QUEUE)
    assert queued(assignment)[0].text in ("Hello all", "Hi all")


def test_a_refused_line_takes_those_that_answer_it_with_it_and_the_play_goes_on():
    lines = (("host", "one", None), ("guest", "two", 1), ("host", "three", 2), ("guest", "four", None))
    assignment = prepared(chats=1, lines=lines)
    play_on(assignment, refused=(2,))
    assert [(step.state, step.reason) for step in Step.objects.all()] == [
        ("said", ""),
        ("not_said", "not here"),
        ("not_said", "it replies to line 2, which was not sent"),
        ("said", ""),
    ]
    assignment.refresh_from_db()
    assert assignment.state == "finished" and Play.objects.get().state_reason == "2 of 4 lines were not sent"
    two, three = assignment.script.lines.filter(position__in=(2, 3))
    assert outbox("scripts.finished")[0]["problems"] == [str(two.pk), str(three.pk)]


def test_a_play_of_which_nothing_was_sent_has_failed():
    assignment = prepared(chats=1)
    play_on(assignment, refused=(1, 2, 3))
    assignment.refresh_from_db()
    assert assignment.state == "failed" and assignment.state_reason == "no line was sent: not here"
    assert len(outbox("scripts.finished")[0]["problems"]) == 3


def test_settling_twice_changes_nothing():
    assignment = prepared(chats=1)
    first = queued(assignment)[0]
    settle(first)
    first.refresh_from_db()
    before = list(Step.objects.values())
    services.step_settle(delivery=first, now=database_clock())
    assert list(Step.objects.values()) == before and Delivery.objects.count() == 2


def test_an_unknown_message_that_was_found_later_counts_as_sent():
    assignment = prepared(chats=1)
    first = queued(assignment)[0]
    settle(first, Delivery.State.UNKNOWN)
    step = Step.objects.get(position=1)
    assert (step.state, step.reason) == ("not_said", "it is not known whether the line was sent")
    first.refresh_from_db()
    settle(first)
    step.refresh_from_db()
    assert step.state == "said"


def test_the_same_message_twice_prepares_once():
    assignment = prepared(chats=1)
    deliver(topology.SCRIPTS_QUEUE)
    services.assignment_prepare(assignment_id=str(assignment.pk))
    assert Play.objects.count() == 1 and Delivery.objects.count() == 1 and len(outbox("scripts.started")) == 1


@pytest.mark.parametrize("first", [topology.SCRIPTS_QUEUE, topology.SCRIPTS_WATCHDOG_QUEUE])
def test_bare_json_for_a_draft_activates_and_prepares_it_in_any_order(first):
    assignment = make_assignment(chats=1)
    queues = [first, *({topology.SCRIPTS_QUEUE, topology.SCRIPTS_WATCHDOG_QUEUE} - {first})]
    for queue in queues:
        deliver(queue, {"script_for_campaign_id": str(assignment.pk)})
    assignment.refresh_from_db()
    assert assignment.state == "playing" and assignment.supervised_at and len(queued(assignment)) == 1
    assert not outbox("admin.script_created")


@pytest.mark.parametrize("name", ["00000000-0000-4000-8000-000000000000", "no id", ""])
@pytest.mark.parametrize("queue", [topology.SCRIPTS_QUEUE, topology.SCRIPTS_WATCHDOG_QUEUE])
def test_an_id_that_nobody_has_is_a_failure_with_a_readable_reason(queue, name):
    with pytest.raises(UnknownScript, match="no assignment has the id"):
        deliver(queue, {"script_for_campaign_id": name})


@pytest.mark.parametrize("state", ["paused", "finished", "failed", "stopped"])
def test_an_activation_that_comes_late_changes_nothing(state):
    assignment = make_assignment(chats=1)
    services.assignment_activate(assignment_id=assignment.pk)
    Assignment.objects.update(state=state)
    deliver(topology.SCRIPTS_QUEUE)
    assert not Play.objects.exists() and Assignment.objects.get().state == state


def test_what_cannot_start_any_more_fails_with_the_reason_and_may_be_activated_again():
    assignment = make_assignment(chats=1)
    services.assignment_activate(assignment_id=assignment.pk)
    bot = assignment.cast.get(slot__name="guest").bot
    Bot.objects.filter(pk=bot.pk).update(enabled=False)
    deliver(topology.SCRIPTS_QUEUE)
    assignment.refresh_from_db()
    assert assignment.state == "failed" and assignment.state_reason == "slot guest: talk-guest is disabled"
    assert "cannot start: slot guest: talk-guest is disabled" in outbox("scripts.error")[0]["reason"]
    assignment.cast.filter(slot__name="guest").update(bot=logged_in(make_bot("other")))
    assert services.assignment_activate(assignment_id=assignment.pk).state == "active"


def test_bare_json_for_a_draft_that_is_not_ready_fails_with_the_reason():
    assignment = make_assignment(chats=0)
    deliver(topology.SCRIPTS_QUEUE, {"script_for_campaign_id": str(assignment.pk)})
    assignment.refresh_from_db()
    assert (assignment.state, assignment.state_reason) == ("failed", "no target chats are chosen")


def test_a_paused_play_waits_at_the_gate_and_goes_on_when_resumed():
    assignment = prepared()
    services.assignment_pause(assignment_id=assignment.pk, reason="lunch")
    services.assignment_pause(assignment_id=assignment.pk)
    assert verdicts(assignment) == [Wait(None, "the play is paused")] * 2
    services.assignment_resume(assignment_id=assignment.pk)
    assert all(isinstance(verdict, Allow) for verdict in verdicts(assignment))
    play_on(assignment)
    assert Assignment.objects.get().state == "finished"


def test_a_message_that_was_leaving_at_the_pause_is_recorded_and_the_next_one_waits():
    assignment = prepared(chats=1)
    services.assignment_pause(assignment_id=assignment.pk)
    settle(queued(assignment)[0])
    assert Step.objects.get(position=1).state == "said"
    assert verdicts(assignment) == [Wait(None, "the play is paused")]


def test_one_chat_can_be_paused_by_itself():
    assignment = prepared()
    play = Play.objects.get(chat__key="talk-0")
    services.play_pause(play_id=play.pk)
    paused, playing = verdicts(assignment)
    assert isinstance(paused, Wait) and isinstance(playing, Allow)
    services.play_resume(play_id=play.pk)
    assert isinstance(verdicts(assignment)[0], Allow)


def test_stop_cancels_what_waits_and_ends_the_play():
    assignment = prepared()
    settle(queued(assignment)[0])
    stopped = services.assignment_stop(assignment_id=assignment.pk, reason="enough")
    assert stopped.state == "stopped" and stopped.finished_at
    assert set(Play.objects.values_list("state", "state_reason")) == {("stopped", "enough")}
    assert sorted(Delivery.objects.values_list("state", flat=True)) == ["cancelled", "cancelled", "sent"]
    assert Step.objects.filter(state="said").count() == 1 and Step.objects.filter(state="not_said").count() == 5
    services.assignment_stop(assignment_id=assignment.pk)
    assert len(outbox("scripts.finished")) == 1 and len(outbox("scripts.finished")[0]["problems"]) == 3


def test_a_stopped_play_ends_when_its_last_message_has_left():
    assignment = prepared(chats=1)
    delivery = queued(assignment)[0]
    Delivery.objects.update(state="sending")
    stopped = services.assignment_stop(assignment_id=assignment.pk)
    assert stopped.state == "stopped" and stopped.finished_at is None and not outbox("scripts.finished")
    delivery.refresh_from_db()
    settle(delivery)
    assignment.refresh_from_db()
    assert assignment.finished_at and Step.objects.filter(state="said").count() == 1 and Delivery.objects.count() == 1
    assert len(outbox("scripts.finished")) == 1


def test_a_delivery_of_a_stopped_play_is_refused_at_the_gate():
    assignment = prepared(chats=1)
    Assignment.objects.update(state="stopped")
    assert verdicts(assignment) == [Refuse("the assignment is stopped")]


def test_what_was_activated_and_not_prepared_can_be_stopped():
    assignment = make_assignment()
    services.assignment_activate(assignment_id=assignment.pk)
    stopped = services.assignment_stop(assignment_id=assignment.pk)
    deliver(topology.SCRIPTS_QUEUE)
    assert stopped.finished_at and not Play.objects.exists() and not outbox("scripts.finished")


def test_one_chat_can_be_stopped_by_itself():
    assignment = prepared()
    play = Play.objects.get(chat__key="talk-0")
    services.play_stop(play_id=play.pk)
    play_on(assignment)
    assignment.refresh_from_db()
    assert assignment.state == "finished" and assignment.state_reason == "1 of 2 plays did not finish"
    assert sorted(Play.objects.values_list("state", flat=True)) == ["finished", "stopped"]


@pytest.mark.parametrize(
    ("move", "message"),
    [
        (services.assignment_pause, "the assignment is draft: it cannot be paused"),
        (services.assignment_resume, "the assignment is draft: it cannot be resumed"),
        (services.assignment_stop, "the assignment is draft: it cannot be stopped"),
    ],
)
def test_a_move_that_is_not_allowed_is_refused_in_words(move, message):
    with pytest.raises(MoveRefused) as caught:
        move(assignment_id=make_assignment().pk)
    assert str(caught.value) == message


def test_an_unknown_or_foreign_delivery_gets_no_yes():
    assignment = prepared(chats=1)
    delivery = queued(assignment)[0]
    Step.objects.filter(pk=delivery.origin_id).update(state="said", settled_at=timezone.now())
    origin = origin_named("scripts.step")
    assert origin is not None
    assert origin.verdicts([delivery], now=database_clock()) == {
        delivery.pk: Refuse("the play does not send this line now")
    }
