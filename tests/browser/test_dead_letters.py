"""Dead letters and traces as an operator works with them."""

import json
import uuid
from types import SimpleNamespace

import pytest
from django.contrib.admin.models import LogEntry

from messaging.broker import topology
from messaging.dead_letters.replays import replays_advance
from messaging.models import DeadLetter, OutboxEvent, ProcessedEvent, QueueControl, ReplayBatch
from tests.browser.panel import Panel
from tests.integration.letters import letter_of
from tests.support import wait_until

LIST = "/admin/messaging/deadletter/"


@pytest.fixture
def letters(world: SimpleNamespace) -> list[DeadLetter]:
    """Beside the world's letter: two leads and a script, with bodies as they come."""
    lead = {"worker_id": "w", "campaign_id": str(world.campaign.pk), "chat_id": 5, "username": "dora"}
    return [
        letter_of(topology.LEADS_QUEUE, **lead, message="Rye bread, anyone?"),
        letter_of(topology.LEADS_QUEUE, **lead, message="A cake for Friday"),
        letter_of(topology.SCRIPTS_QUEUE, script_for_campaign_id="nonsense"),
    ]


def test_dead_letters_are_found_by_their_payload_and_by_filters(
    panel: Panel, world: SimpleNamespace, letters: list[DeadLetter]
) -> None:
    panel.open(LIST)
    assert panel.rows() == 4
    panel.enter("#searchbar", "cake for friday")
    assert panel.rows() == 1
    panel.open(f"{LIST}?queue=scripts_queue")
    assert panel.rows() == 1
    panel.open(f"{LIST}?campaign={world.campaign.pk}")
    assert panel.rows() == 2
    assert "Bakery on the corner" in panel.html
    panel.open(f"{LIST}?type=leads_exchange/lead.*&state__exact=open")
    assert panel.rows() == 3


def test_all_that_match_are_replayed_after_a_dry_run(panel: Panel, letters: list[DeadLetter]) -> None:
    panel.open(f"{LIST}?q=bread&queue=leads_queue")
    panel.press("Replay all 1 matching")
    assert panel.do(lambda page: page.inner_text("#dry-run")).split() == [
        "leads_queue",
        "1",
        "Total",
        "1",
    ]
    assert 'text "bread", queue "leads_queue"' in panel.text
    assert not OutboxEvent.objects.filter(event_id=letters[0].event_id).exists()
    panel.fill("#id_per_second", "20")
    panel.press("Replay")
    batch = ReplayBatch.objects.get(state="running")
    assert batch.per_second == 20
    assert panel.path == f"/admin/messaging/replaybatch/{batch.pk}/change/"
    assert "0 of 1 dead letters processed" in panel.text
    replays_advance()
    wait_until(lambda: "1 of 1 dead letters processed" in panel.text, what="the progress on the page")
    ProcessedEvent.objects.create(event_id=letters[0].event_id, subscription=topology.LEADS_QUEUE)
    panel.submit('#progress a:has-text("Outcome of each")')
    assert panel.rows() == 1
    assert "handled" in panel.do(lambda page: page.inner_text("#result_list")).lower()
    assert LogEntry.objects.filter(object_id=str(letters[0].pk)).count() == 1


def test_a_dead_letter_is_edited_previewed_and_replayed(panel: Panel, letters: list[DeadLetter]) -> None:
    dead = letters[0]
    panel.open(f"{LIST}{dead.pk}/change/")
    panel.press("Edit")
    typed = json.loads(panel.value("#id_body"))
    assert typed["message"] == "Rye bread, anyone?"
    panel.fill("#id_body", "{")
    panel.press("Show changes")
    assert "the body is not JSON" in panel.text
    panel.fill("#id_body", json.dumps({**typed, "chat_id": "no number"}, indent=2))
    panel.press("Show changes")
    assert "A replay would be refused again: not a NewTargetMessage: chat_id" in panel.text
    panel.press("Continue editing")
    panel.fill("#id_body", json.dumps({**typed, "message": "Rye bread <b>"}, indent=2))
    panel.press("Show changes")
    assert '-  "message": "Rye bread, anyone?"' in panel.text
    assert '+  "message": "Rye bread <b>"' in panel.text
    assert "refused" not in panel.text
    panel.press("Save and replay")
    assert "has been saved and is in the outbox." in panel.text
    assert panel.do(lambda page: page.locator("#history .panel-diff-plus").count()) == 1
    assert "replayed\tby operator" in panel.do(lambda page: page.inner_text("#history"))
    sent = OutboxEvent.objects.get(event_id=dead.event_id)
    assert json.loads(sent.body)["message"] == "Rye bread <b>"


def test_an_edit_may_be_saved_for_later_and_the_original_stays(panel: Panel, letters: list[DeadLetter]) -> None:
    dead = letters[1]
    panel.open(f"{LIST}{dead.pk}/edit/")
    panel.fill("#id_body", panel.value("#id_body").replace("Friday", "Sunday"))
    panel.press("Show changes")
    panel.press("Save for later")
    dead.refresh_from_db()
    assert "Sunday" in dead.edited_body
    assert "Friday" in dead.body
    assert dead.state == "open"
    assert "Replays send an edited body" in panel.text


def test_a_dead_letter_is_discarded_with_a_reason_and_reopened(panel: Panel, letters: list[DeadLetter]) -> None:
    dead = letters[2]
    panel.open(f"{LIST}{dead.pk}/change/")
    panel.press("Discard")
    panel.fill("#id_reason", "an old test")
    panel.press("Discard")
    assert "discarded\tby operator\tan old test" in panel.do(lambda page: page.inner_text("#history"))
    panel.press("Reopen")
    panel.press("Reopen")
    dead.refresh_from_db()
    assert dead.state == "open"


def test_the_trace_of_a_dead_letter_is_one_click_away(panel: Panel, letters: list[DeadLetter]) -> None:
    panel.open(f"{LIST}{letters[0].pk}/change/")
    panel.submit('#history a:has-text("Trace of the event")')
    assert panel.path == f"/admin/trace/{letters[0].event_id}/"
    assert "dead-lettered" in panel.do(lambda page: page.inner_text("#steps"))
    panel.fill("input[name=id]", "nonsense")
    panel.submit('form[role=search] button:has-text("Trace")')
    assert "This is not an event id." in panel.text
    panel.fill("input[name=id]", str(uuid.uuid4()))
    panel.submit('form[role=search] button:has-text("Trace")')
    assert "CoolThing has no record of this event" in panel.text


def test_a_whole_service_is_paused_and_resumed(panel: Panel, world: SimpleNamespace) -> None:
    panel.open("/admin/queues/")
    panel.submit('#service-bots a:has-text("Pause service")')
    panel.fill("input[name=reason]", "the night")
    panel.press("Pause")
    assert QueueControl.objects.filter(paused=True, reason="the night").count() == len(topology.BOTS_QUEUES)
    panel.submit('#service-bots button:has-text("Resume service")')
    assert not QueueControl.objects.filter(paused=True, reason="the night").exists()
