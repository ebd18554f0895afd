"""A play in the database: activated, prepared, said line by line, ended; and everything that can happen twice."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from bots.gate.origins import origin_named
from bots.gate.rules import Allow, Refuse, Wait
from bots.models import Bot, Delivery
from campaigns.models import Campaign
from messaging.broker import topology
from messaging.consuming.subscriptions import handle
from messaging.database.clock import database_clock
from messaging.models import OutboxEvent
from scripts import services, snapshot
from scripts.errors import CannotStart, MoveRefused, UnknownScript
from scripts.models import Casting, Run, ScriptForCampaign, Step
from tests.integration.script_world import logged_in, make_bot, make_chat, make_sfc, play_on, queued, settle

pytestmark = pytest.mark.django_db


def outbox(key: str) -> list[dict]:
    return [json.loads(row.body) for row in OutboxEvent.objects.filter(routing_key=key).order_by("id")]


def deliver(queue: str, body: dict | None = None) -> None:
    """Hand the last activation (or this body) to the queue's handler, as JSON."""
    text = json.dumps(body) if body is not None else OutboxEvent.objects.get(routing_key="admin.script_created").body
    handle(queue, topology.SCRIPTS_EXCHANGE, "admin.script_created", text.encode())


def prepared(**options) -> ScriptForCampaign:
    sfc = make_sfc(**options)
    services.sfc_activate(sfc_id=sfc.pk)
    deliver(topology.SCRIPTS_QUEUE)
    deliver(topology.SCRIPTS_WATCHDOG_QUEUE)
    sfc.refresh_from_db()
    return sfc


def verdicts(sfc: ScriptForCampaign) -> list:
    deliveries = queued(sfc)
    origin = origin_named("scripts.step")
    assert origin is not None
    origin.lock_fences([delivery.origin_id for delivery in deliveries])
    found = origin.verdicts(deliveries, now=database_clock())
    return [found[delivery.pk] for delivery in deliveries]


def test_activation_freezes_the_script_and_publishes_its_id():
    sfc = services.sfc_activate(sfc_id=make_sfc().pk)
    assert sfc.state == "active" and sfc.seed and sfc.activated_at
    assert [line.key for line in snapshot.load(sfc.snapshot)] == ["l1", "l2", "l3"]
    assert [body["script_for_campaign_id"] for body in outbox("admin.script_created")] == [str(sfc.pk)]


def test_a_line_is_played_as_telegram_will_keep_it():
    sfc = prepared(chats=1, lines=(("host", "Two\r\nlines ", None),))
    [delivery] = queued(sfc)
    assert (Step.objects.get().text, delivery.text) == ("Two\nlines", "Two\nlines")


def test_a_second_activation_publishes_nothing():
    sfc = make_sfc()
    services.sfc_activate(sfc_id=sfc.pk)
    services.sfc_activate(sfc_id=sfc.pk)
    assert len(outbox("admin.script_created")) == 1


def test_activation_names_everything_that_is_missing_and_changes_nothing():
    sfc = make_sfc(chats=1)
    Casting.objects.filter(slot__name="guest").delete()
    Bot.objects.filter(key="talk-host").update(state=Bot.State.BANNED)
    sfc.targets.create(chat=make_chat("bare", permitted=False, label=""))
    sfc.script.lines.filter(key="l1").update(text="{Hello")
    Campaign.objects.update(state="draft")
    with pytest.raises(CannotStart) as caught:
        services.sfc_activate(sfc_id=sfc.pk)
    assert caught.value.problems == [
        "campaign “Campaign” is draft, not running",
        "line l1: { is never closed at character 1",
        "slot guest is not cast",
        "slot host: talk-host is banned",
        "chat Bare: no permission for scripts is in force: none is on record",
        "chat Bare: no label tells its members that scripts play there",
    ]
    sfc.refresh_from_db()
    assert sfc.state == "draft" and sfc.snapshot is None and not OutboxEvent.objects.exists()


def test_preparation_makes_a_run_a_chat_and_queues_each_first_line():
    sfc = prepared(chats=3, delay=4)
    assert sfc.state == "playing" and sfc.supervised_at and sfc.started_at
    assert Run.objects.filter(sfc=sfc, state="playing").count() == 3
    assert [step.position for step in Step.objects.filter(state="queued")] == [1, 1, 1]
    assert {delivery.due_at for delivery in queued(sfc)} == {sfc.started_at + timedelta(seconds=4)}
    assert {delivery.text for delivery in queued(sfc)} <= {"Hello all", "Hi all"}
    assert outbox("scripts.started")[0]["chats"] == ["@chat_talk-0", "@chat_talk-1", "@chat_talk-2"]


def test_the_same_seed_draws_the_same_texts_and_chats_differ():
    lines = (("host", "{" + "|".join(str(n) for n in range(1000)) + "}", None),)
    sfc = make_sfc(chats=3, lines=lines)
    ScriptForCampaign.objects.update(seed=42)
    services.sfc_activate(sfc_id=sfc.pk)
    deliver(topology.SCRIPTS_QUEUE)
    texts = [delivery.text for delivery in queued(sfc)]
    assert len(set(texts)) == 3
    Step.objects.update(delivery=None, state="not_said")
    Delivery.objects.all().delete()
    Run.objects.all().delete()
    ScriptForCampaign.objects.update(state="active")
    services.sfc_prepare(sfc_id=str(sfc.pk))
    assert [delivery.text for delivery in queued(sfc)] == texts


def test_a_play_is_said_to_its_end_and_reported_once():
    sfc = prepared()
    play_on(sfc)
    sfc.refresh_from_db()
    assert sfc.state == "finished" and sfc.finished_at
    assert set(Run.objects.values_list("state", flat=True)) == {"finished"}
    assert set(Step.objects.values_list("state", flat=True)) == {"said"}
    finished = outbox("scripts.finished")
    assert len(finished) == 1 and finished[0]["problems"] == [] and finished[0]["sfc_id"] == str(sfc.pk)


def test_a_line_answers_the_message_of_the_line_it_names():
    sfc = prepared(chats=1)
    first = queued(sfc)[0]
    settle(first)
    assert queued(sfc)[0].reply_to_id == first.pk


def test_lines_edited_after_activation_are_not_played():
    sfc = make_sfc(chats=1)
    services.sfc_activate(sfc_id=sfc.pk)
    sfc.script.lines.update(text="edited")
    deliver(topology.SCRIPTS_QUEUE)
    assert queued(sfc)[0].text in ("Hello all", "Hi all")


def test_a_refused_line_takes_those_that_answer_it_with_it_and_the_play_goes_on():
    lines = (("host", "one", None), ("guest", "two", 1), ("host", "three", 2), ("guest", "four", None))
    sfc = prepared(chats=1, lines=lines)
    play_on(sfc, refused=(2,))
    assert [(step.state, step.reason) for step in Step.objects.all()] == [
        ("said", ""),
        ("not_said", "not here"),
        ("not_said", "line 2, which it answers, was not said"),
        ("said", ""),
    ]
    sfc.refresh_from_db()
    assert sfc.state == "finished" and Run.objects.get().state_reason == "2 of 4 lines were not said"
    two, three = sfc.script.lines.filter(position__in=(2, 3))
    assert outbox("scripts.finished")[0]["problems"] == [str(two.pk), str(three.pk)]


def test_a_play_of_which_nothing_was_said_has_failed():
    sfc = prepared(chats=1)
    play_on(sfc, refused=(1, 2, 3))
    sfc.refresh_from_db()
    assert sfc.state == "failed" and sfc.state_reason == "no line was said: not here"
    assert len(outbox("scripts.finished")[0]["problems"]) == 3


def test_settling_twice_changes_nothing():
    sfc = prepared(chats=1)
    first = queued(sfc)[0]
    settle(first)
    first.refresh_from_db()
    before = list(Step.objects.values())
    services.step_settle(delivery=first, now=database_clock())
    assert list(Step.objects.values()) == before and Delivery.objects.count() == 2


def test_an_unknown_message_that_was_found_later_counts_as_said():
    sfc = prepared(chats=1)
    first = queued(sfc)[0]
    settle(first, Delivery.State.UNKNOWN)
    step = Step.objects.get(position=1)
    assert (step.state, step.reason) == ("not_said", "it is not known whether it was said")
    first.refresh_from_db()
    settle(first)
    step.refresh_from_db()
    assert step.state == "said"


def test_the_same_message_twice_prepares_once():
    sfc = prepared(chats=1)
    deliver(topology.SCRIPTS_QUEUE)
    services.sfc_prepare(sfc_id=str(sfc.pk))
    assert Run.objects.count() == 1 and Delivery.objects.count() == 1 and len(outbox("scripts.started")) == 1


@pytest.mark.parametrize("first", [topology.SCRIPTS_QUEUE, topology.SCRIPTS_WATCHDOG_QUEUE])
def test_bare_json_for_a_draft_activates_and_prepares_it_in_any_order(first):
    sfc = make_sfc(chats=1)
    queues = [first, *({topology.SCRIPTS_QUEUE, topology.SCRIPTS_WATCHDOG_QUEUE} - {first})]
    for queue in queues:
        deliver(queue, {"script_for_campaign_id": str(sfc.pk)})
    sfc.refresh_from_db()
    assert sfc.state == "playing" and sfc.supervised_at and len(queued(sfc)) == 1
    assert not outbox("admin.script_created")


@pytest.mark.parametrize("name", ["00000000-0000-4000-8000-000000000000", "no id", ""])
@pytest.mark.parametrize("queue", [topology.SCRIPTS_QUEUE, topology.SCRIPTS_WATCHDOG_QUEUE])
def test_an_id_that_nobody_has_is_a_failure_with_a_readable_reason(queue, name):
    with pytest.raises(UnknownScript, match="no script for campaign has the id"):
        deliver(queue, {"script_for_campaign_id": name})


@pytest.mark.parametrize("state", ["paused", "finished", "failed", "stopped"])
def test_an_activation_that_comes_late_changes_nothing(state):
    sfc = make_sfc(chats=1)
    services.sfc_activate(sfc_id=sfc.pk)
    ScriptForCampaign.objects.update(state=state)
    deliver(topology.SCRIPTS_QUEUE)
    assert not Run.objects.exists() and ScriptForCampaign.objects.get().state == state


def test_what_cannot_start_any_more_fails_with_the_reason_and_may_be_activated_again():
    sfc = make_sfc(chats=1)
    services.sfc_activate(sfc_id=sfc.pk)
    bot = sfc.cast.get(slot__name="guest").bot
    Bot.objects.filter(pk=bot.pk).update(enabled=False)
    deliver(topology.SCRIPTS_QUEUE)
    sfc.refresh_from_db()
    assert sfc.state == "failed" and sfc.state_reason == "slot guest: talk-guest is disabled"
    assert "cannot start: slot guest: talk-guest is disabled" in outbox("scripts.error")[0]["reason"]
    sfc.cast.filter(slot__name="guest").update(bot=logged_in(make_bot("other")))
    assert services.sfc_activate(sfc_id=sfc.pk).state == "active"


def test_bare_json_for_a_draft_that_is_not_ready_fails_with_the_reason():
    sfc = make_sfc(chats=0)
    deliver(topology.SCRIPTS_QUEUE, {"script_for_campaign_id": str(sfc.pk)})
    sfc.refresh_from_db()
    assert (sfc.state, sfc.state_reason) == ("failed", "no target chats are chosen")


def test_a_paused_play_waits_at_the_gate_and_goes_on_when_resumed():
    sfc = prepared()
    services.sfc_pause(sfc_id=sfc.pk, reason="lunch")
    services.sfc_pause(sfc_id=sfc.pk)
    assert verdicts(sfc) == [Wait(None, "the play is paused")] * 2
    services.sfc_resume(sfc_id=sfc.pk)
    assert all(isinstance(verdict, Allow) for verdict in verdicts(sfc))
    play_on(sfc)
    assert ScriptForCampaign.objects.get().state == "finished"


def test_a_message_that_was_leaving_at_the_pause_is_recorded_and_the_next_one_waits():
    sfc = prepared(chats=1)
    services.sfc_pause(sfc_id=sfc.pk)
    settle(queued(sfc)[0])
    assert Step.objects.get(position=1).state == "said"
    assert verdicts(sfc) == [Wait(None, "the play is paused")]


def test_one_chat_can_be_paused_by_itself():
    sfc = prepared()
    run = Run.objects.get(chat__key="talk-0")
    services.run_pause(run_id=run.pk)
    paused, playing = verdicts(sfc)
    assert isinstance(paused, Wait) and isinstance(playing, Allow)
    services.run_resume(run_id=run.pk)
    assert isinstance(verdicts(sfc)[0], Allow)


def test_stop_cancels_what_waits_and_ends_the_play():
    sfc = prepared()
    settle(queued(sfc)[0])
    stopped = services.sfc_stop(sfc_id=sfc.pk, reason="enough")
    assert stopped.state == "stopped" and stopped.finished_at
    assert set(Run.objects.values_list("state", "state_reason")) == {("stopped", "enough")}
    assert sorted(Delivery.objects.values_list("state", flat=True)) == ["cancelled", "cancelled", "sent"]
    assert Step.objects.filter(state="said").count() == 1 and Step.objects.filter(state="not_said").count() == 5
    services.sfc_stop(sfc_id=sfc.pk)
    assert len(outbox("scripts.finished")) == 1 and len(outbox("scripts.finished")[0]["problems"]) == 3


def test_a_stopped_play_ends_when_its_last_message_has_left():
    sfc = prepared(chats=1)
    delivery = queued(sfc)[0]
    Delivery.objects.update(state="sending")
    stopped = services.sfc_stop(sfc_id=sfc.pk)
    assert stopped.state == "stopped" and stopped.finished_at is None and not outbox("scripts.finished")
    delivery.refresh_from_db()
    settle(delivery)
    sfc.refresh_from_db()
    assert sfc.finished_at and Step.objects.filter(state="said").count() == 1 and Delivery.objects.count() == 1
    assert len(outbox("scripts.finished")) == 1


def test_a_delivery_of_a_stopped_play_is_refused_at_the_gate():
    sfc = prepared(chats=1)
    ScriptForCampaign.objects.update(state="stopped")
    assert verdicts(sfc) == [Refuse("the script is stopped")]


def test_what_was_activated_and_not_prepared_can_be_stopped():
    sfc = make_sfc()
    services.sfc_activate(sfc_id=sfc.pk)
    stopped = services.sfc_stop(sfc_id=sfc.pk)
    deliver(topology.SCRIPTS_QUEUE)
    assert stopped.finished_at and not Run.objects.exists() and not outbox("scripts.finished")


def test_one_chat_can_be_stopped_by_itself():
    sfc = prepared()
    run = Run.objects.get(chat__key="talk-0")
    services.run_stop(run_id=run.pk)
    play_on(sfc)
    sfc.refresh_from_db()
    assert sfc.state == "finished" and sfc.state_reason == "1 of 2 plays did not finish"
    assert sorted(Run.objects.values_list("state", flat=True)) == ["finished", "stopped"]


@pytest.mark.parametrize(
    ("move", "message"),
    [
        (services.sfc_pause, "the script is draft: it cannot be paused"),
        (services.sfc_resume, "the script is draft: it cannot be resumed"),
        (services.sfc_stop, "the script is draft: it cannot be stopped"),
    ],
)
def test_a_move_that_is_not_allowed_is_refused_in_words(move, message):
    with pytest.raises(MoveRefused) as caught:
        move(sfc_id=make_sfc().pk)
    assert str(caught.value) == message


def test_an_unknown_or_foreign_delivery_gets_no_yes():
    sfc = prepared(chats=1)
    delivery = queued(sfc)[0]
    Step.objects.filter(pk=delivery.origin_id).update(state="said", settled_at=timezone.now())
    origin = origin_named("scripts.step")
    assert origin is not None
    assert origin.verdicts([delivery], now=database_clock()) == {
        delivery.pk: Refuse("the play has no such step to say")
    }
