"""Assignments were scripts for campaigns before, and plays runs: rows and dead letters of that time are handled."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.urls import reverse

from bots.gate.origins import origin_named
from bots.gate.verdicts import ALLOW
from bots.models import Bot, Delivery
from campaigns.models import Campaign, Chat
from messaging.broker import topology
from messaging.consuming.subscriptions import handle
from messaging.database.clock import database_clock
from messaging.dead_letters.services import dead_letter_replay
from messaging.models import DeadLetter, OutboxEvent
from notifier.models import Channel, Notification, Rule
from scripts import services
from scripts.models import Assignment, Play, Step
from tests.integration.letters import death, letter
from tests.integration.script_world import logged_in, make_bot, make_chat, settle

pytestmark = pytest.mark.django_db

SFC, RUN = "7a1c0c5e-1111-4c7b-9f5e-0d2f6a9b0001", "7a1c0c5e-2222-4c7b-9f5e-0d2f6a9b0002"
SCRIPT = "7a1c0c5e-3333-4c7b-9f5e-0d2f6a9b0003"
LINES = ("7a1c0c5e-4444-4c7b-9f5e-0d2f6a9b0041", "7a1c0c5e-4444-4c7b-9f5e-0d2f6a9b0042")
STEPS = ("7a1c0c5e-5555-4c7b-9f5e-0d2f6a9b0051", "7a1c0c5e-5555-4c7b-9f5e-0d2f6a9b0052")
SNAPSHOT = {
    "lines": [
        {
            "id": line,
            "key": f"l{place}",
            "position": place,
            "slot": "host",
            "text": f"Line {place}",
            "reply_to": None,
            "delay_seconds": 0.0,
        }
        for place, line in enumerate(LINES, start=1)
    ]
}


def _insert(table: str, **values: Any) -> None:
    columns, places = ", ".join(values), ", ".join(["%s"] * len(values))
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", list(values.values()))


@dataclass
class Stored:
    """Puts a script for a campaign into the database in the words of the old code."""

    campaign: Campaign
    chat: Chat
    bot: Bot

    def draft(self, state: str = "draft", **facts: Any) -> None:
        _insert("scripts_script", id=SCRIPT, slug="hello", name="Hello")
        _insert("scripts_slot", id=901, script_id=SCRIPT, name="host")
        for place, line in enumerate(LINES, start=1):
            row = {"id": line, "script_id": SCRIPT, "slot_id": 901, "key": f"l{place}", "position": place}
            _insert("scripts_line", **row, text=f"Line {place}", delay_seconds=0)
        row = {"id": SFC, "campaign_id": self.campaign.pk, "script_id": SCRIPT, "state": state, "seed": 7}
        _insert("scripts_scriptforcampaign", **row, state_reason="", incident="", **facts)
        _insert("scripts_casting", sfc_id=SFC, slot_id=901, bot_id=self.bot.pk)
        _insert("scripts_target", sfc_id=SFC, chat_id=self.chat.pk)

    def run(self) -> None:
        """It plays; the delivery of its first line is on its way."""
        now = database_clock()
        self.draft("playing", snapshot=json.dumps(SNAPSHOT), activated_at=now, started_at=now, supervised_at=now)
        delivery = Delivery.objects.create(
            bot=self.bot,
            campaign=self.campaign,
            purpose="script",
            origin="scripts.step",
            origin_id=UUID(STEPS[0]),
            text="Line 1",
            due_at=now,
            chat=self.chat,
            random_id=4711,
        )
        row = {"id": RUN, "sfc_id": SFC, "chat_id": self.chat.pk, "state": "playing"}
        _insert("scripts_run", **row, state_reason="", incident="")
        for place, (step, line) in enumerate(zip(STEPS, LINES, strict=True), start=1):
            row = {"id": step, "run_id": RUN, "line_id": line, "position": place, "slot_name": "host"}
            row |= {"state": "queued", "delivery_id": delivery.pk} if place == 1 else {"state": "pending"}
            _insert("scripts_step", **row, bot_id=self.bot.pk, text=f"Line {place}", delay_seconds=0, reason="")


@pytest.fixture
def stored() -> Stored:
    campaign = Campaign.objects.create(slug="tea", name="Tea", state=Campaign.State.RUNNING)
    return Stored(campaign, make_chat("expats"), logged_in(make_bot("anna")))


def _dead(queue: str, exchange: str, key: str, **body: Any) -> DeadLetter:
    head = {"id": "7a1c0c5e-6666-4c7b-9f5e-0d2f6a9b0006", "created_at": "2026-11-20T10:00:00Z"}
    return letter(json.dumps(head | body).encode(), death(queue, exchange=exchange, **{"routing-keys": [key]}))


def _replay(dead: DeadLetter) -> None:
    dead_letter_replay(letter_id=dead.pk, by="olga")
    row = OutboxEvent.objects.latest("id")
    handle(dead.queue, row.exchange, row.routing_key, row.body.encode(), row.headers)


@pytest.mark.parametrize("queue", ["scripts_queue", "scripts_watchdog_queue"])
def test_a_dead_letter_of_an_activation_is_replayed(stored: Stored, queue: str) -> None:
    stored.draft()
    dead = _dead(queue, "scripts_exchange", "admin.script_created", script_for_campaign_id=SFC)
    assert dead.campaign_id == stored.campaign.pk
    _replay(dead)
    assignment = Assignment.objects.get(pk=SFC)
    if queue == "scripts_queue":
        assert assignment.state == "playing" and Play.objects.get().assignment_id == UUID(SFC)
    else:
        assert assignment.supervised_at is not None


@pytest.mark.parametrize(
    ("key", "facts", "title"),
    [
        ("scripts.started", {"chats": ["@expats"]}, "Script Hello started in 1 chat"),
        ("scripts.finished", {"finished_at": "2026-11-20T10:00:00Z", "problems": []}, "Script Hello finished"),
        ("scripts.play_failed", {"play_id": RUN, "reason": "Expats: why"}, "1 play of script Hello failed"),
    ],
)
def test_a_dead_letter_of_an_events_notification_is_replayed(
    stored: Stored, key: str, facts: dict[str, Any], title: str
) -> None:
    stored.draft()
    Rule.objects.create(channel=Channel.objects.create(name="log", kind="file", address="log"), pattern="#")
    dead = _dead(topology.NOTIFIER_QUEUE, "events_exchange", key, sfc_id=SFC, **facts)
    assert dead.campaign_id == stored.campaign.pk
    _replay(dead)
    assert Notification.objects.get().title.startswith(title)


def test_a_delivery_on_its_way_is_allowed_and_settled_and_the_play_goes_on_to_its_end(stored: Stored) -> None:
    stored.run()
    first, origin = Delivery.objects.get(), origin_named("scripts.step")
    assert origin is not None
    origin.lock_fences([first.origin_id])
    assert origin.verdicts([first], now=database_clock()) == {first.pk: ALLOW}
    settle(first)
    assert [(str(step.pk), step.state) for step in Step.objects.all()] == [(STEPS[0], "said"), (STEPS[1], "queued")]
    settle(Delivery.objects.get(state="queued"))
    assert (Play.objects.get(pk=RUN).state, Assignment.objects.get(pk=SFC).state) == ("finished", "finished")
    finished = json.loads(OutboxEvent.objects.get(routing_key="scripts.finished").body)
    assert (finished["sfc_id"], finished["problems"]) == (SFC, [])


def test_the_watchdog_looks_after_it_and_an_operator_stops_it(stored: Stored) -> None:
    stored.run()
    Step.objects.filter(pk=STEPS[0]).update(state="pending", delivery=None)
    services.plays_supervise()
    assert Play.objects.get(pk=RUN).steps.filter(state="queued").exists()
    services.assignment_stop(assignment_id=UUID(SFC))
    assert Play.objects.get(pk=RUN).state == "stopped"


@pytest.mark.parametrize("address", [f"/api/sfc/{SFC}/progress/", f"/api/assignments/{SFC}/progress/"])
def test_both_addresses_answer_the_same(stored: Stored, admin_client: Any, address: str) -> None:
    stored.run()
    found = admin_client.get(address, {"run": RUN}).json()
    assert found["id"] == SFC and [run["id"] for run in found["runs"]] == [RUN]
    assert found == admin_client.get(reverse("assignment-progress", args=[SFC])).json()
