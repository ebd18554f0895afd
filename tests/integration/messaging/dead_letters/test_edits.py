"""Dead letters are edited before a replay, and their history shows which user did what."""

import json
import uuid
from typing import Any

import pytest

from campaigns.models import Campaign
from messaging.broker import topology
from messaging.consuming.subscriptions import handle
from messaging.dead_letters.search import DeadLetterSearch
from messaging.dead_letters.services import (
    dead_letter_discard,
    dead_letter_edit,
    dead_letter_reopen,
    dead_letter_replay,
    preview,
)
from messaging.messages import body_digest
from messaging.models import DeadLetter, HandlingFailure, OutboxEvent
from panelkit.errors import NotPossible
from panelkit.rights import Shell
from scripts.models import Assignment, Script
from tests.integration.letters import archive, death, letter, letter_of

pytestmark = pytest.mark.django_db


def _history(of: DeadLetter) -> list[tuple[str, str]]:
    return list(of.history.order_by("at", "pk").values_list("what", "by"))


def test_a_replay_sends_the_edited_body_and_the_original_one_is_kept():
    dead = letter(b'{"a": 1}')
    dead_letter_edit(letter_id=dead.pk, body='{"a": 2}', by="ann", holder=Shell())
    dead_letter_replay(letter_id=dead.pk, by="ben")
    assert OutboxEvent.objects.get().body == '{"a": 2}'
    dead.refresh_from_db()
    assert (dead.body, dead.edited_body) == ('{"a": 1}', '{"a": 2}')
    assert _history(dead) == [("edited", "ann"), ("replayed", "ben")]


def test_an_edited_replay_that_dies_again_is_the_same_dead_letter():
    dead = letter(b'{"a": 1}')
    dead_letter_edit(letter_id=dead.pk, body='{"a": 2}', by="ann", holder=Shell())
    dead_letter_replay(letter_id=dead.pk, by="ann")
    row = OutboxEvent.objects.get()
    HandlingFailure.objects.create(
        queue=topology.LEADS_QUEUE, body_digest=body_digest(row.body.encode()), error="BadLead: still"
    )
    again: dict[str, Any] = {"exchange": topology.TASKS_EXCHANGE, "routing-keys": [topology.LEADS_QUEUE]}
    archive(row.body.encode(), row.headers | death(**again))
    dead = DeadLetter.objects.get()
    assert (dead.state, dead.count, dead.body, dead.edited_body) == ("open", 2, '{"a": 1}', '{"a": 2}')
    assert (dead.error_class, dead.routing_key) == ("BadLead", "lead.1")
    assert [what for what, _ in _history(dead)] == ["edited", "replayed", "died_again"]
    assert topology.REPLAY_HEADER not in dead.headers


def test_a_replay_whose_queue_is_gone_comes_back_to_its_dead_letter():
    dead = letter()
    dead_letter_replay(letter_id=dead.pk, by="ann")
    row = OutboxEvent.objects.get()
    handle(topology.UNROUTABLE_QUEUE, row.exchange, row.routing_key, row.body.encode(), row.headers)
    dead = DeadLetter.objects.get()
    assert (dead.queue, dead.reason, dead.state, dead.count) == (topology.LEADS_QUEUE, "unroutable", "open", 2)


def test_a_replay_header_of_another_event_makes_a_dead_letter_of_its_own():
    dead = letter()
    replay = dead_letter_replay(letter_id=dead.pk, by="ann")
    archive(b'{"b": 1}', death() | {topology.REPLAY_HEADER: str(replay)})
    assert DeadLetter.objects.count() == 2


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('"\ud800"', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "not an object"),
        ('{"id": "6f1f2c0e-0d5c-5f0e-9d6e-6d1b7f0f5a11"}', "keep this id, or leave it out"),
    ],
)
def test_only_a_json_object_of_the_same_event_is_kept(body: str, reason: str):
    dead = letter_of()
    with pytest.raises(NotPossible, match=reason):
        dead_letter_edit(letter_id=dead.pk, body=body, by="ann", holder=Shell())
    dead.refresh_from_db()
    assert dead.edited_body == ""


def test_an_id_that_is_the_dead_letters_own_may_be_written_in_any_form():
    dead = letter(b'{"id": "no id at all"}')
    edited = json.dumps({"id": dead.event_id.hex.upper()})
    assert dead_letter_edit(letter_id=dead.pk, body=edited, by="ann", holder=Shell()).edited_body == edited


def test_an_id_that_could_not_be_read_when_it_came_is_taken_out():
    dead = letter(b'{"id": "no id at all"}')
    edited = dead_letter_edit(
        letter_id=dead.pk, body='{"id": "no id at all", "a": "\\ud800"}', by="ann", holder=Shell()
    ).edited_body
    assert edited == '{"a":"\\ud800"}'


def test_bytes_that_are_no_text_can_be_replayed_after_an_edit():
    dead = letter(b"\xff")
    dead_letter_edit(letter_id=dead.pk, body="{}", by="ann", holder=Shell())
    dead_letter_replay(letter_id=dead.pk, by="ann")
    assert OutboxEvent.objects.get().body == "{}"


@pytest.mark.parametrize("same", ['{"a": 1}', '{\r\n  "a": 1\r\n}'])
def test_writing_the_original_body_again_undoes_an_edit(same: str):
    dead = letter(b'{"a": 1}')
    dead_letter_edit(letter_id=dead.pk, body='{"a": 2}', by="ann", holder=Shell())
    assert dead_letter_edit(letter_id=dead.pk, body=same, by="ann", holder=Shell()).edited_body == ""


def test_a_preview_shows_the_change_and_whether_it_would_be_refused_again():
    dead = letter(b'{"campaign_id": "1"}')
    seen = preview(dead, '{"campaign_id": "2"}')
    assert '-  "campaign_id": "1"' in seen.diff
    assert '+  "campaign_id": "2"' in seen.diff
    assert "worker_id" in seen.refusal
    whole = {"campaign_id": "2", "worker_id": "w", "chat_id": 1, "username": "u", "message": "m"}
    assert preview(dead, json.dumps(whole)).refusal == ""


def test_a_decision_can_be_reversed():
    dead = letter()
    with pytest.raises(NotPossible):
        dead_letter_reopen(letter_id=dead.pk, by="ann")
    dead_letter_discard(letter_id=dead.pk, reason="a mistake", by="ann")
    assert dead_letter_reopen(letter_id=dead.pk, by="ben").state == "open"
    dead_letter_replay(letter_id=dead.pk, by="ben")
    assert [what for what, _ in _history(dead)] == ["discarded", "reopened", "replayed"]


def test_a_closed_dead_letter_is_not_edited():
    dead = letter()
    dead_letter_discard(letter_id=dead.pk, reason="old", by="ann")
    with pytest.raises(NotPossible, match="discarded already"):
        dead_letter_edit(letter_id=dead.pk, body="{}", by="ann", holder=Shell())


def test_dead_letters_are_found_by_queue_type_campaign_error_state_and_text():
    campaign = Campaign.objects.create(slug="bakery", name="Bakery")
    assignment = Assignment.objects.create(
        campaign=campaign, script=Script.objects.create(slug="opening", name="The opening")
    )
    HandlingFailure.objects.create(
        queue=topology.LEADS_QUEUE, body_digest=body_digest(b'{"a": 1}'), error="KeyError: a"
    )
    failing = letter()
    lead = letter_of(campaign_id=str(campaign.pk), message="Rye bread?")
    script = letter_of(topology.SCRIPTS_QUEUE, script_for_campaign_id=str(assignment.pk))
    foreign = letter_of(topology.NOTIFIER_QUEUE, campaign_id=str(uuid.uuid4()), sfc_id="nonsense")
    dead_letter_discard(letter_id=foreign.pk, reason="old", by="ann")

    def found(**search: object) -> set[int]:
        return {letter.pk for letter in DeadLetterSearch(**search).letters()}  # type: ignore[arg-type]

    assert found() == {failing.pk, lead.pk, script.pk, foreign.pk}
    assert found(queue=topology.SCRIPTS_QUEUE) == {script.pk}
    assert found(type="leads_exchange/lead.*", queue=topology.LEADS_QUEUE) == {failing.pk, lead.pk}
    assert found(campaign=campaign.pk) == {lead.pk, script.pk}
    assert found(error="KeyError") == {failing.pk}
    assert found(state="discarded") == {foreign.pk}
    assert found(text="rye BREAD") == {lead.pk}
    assert found(text="keyerror") == {failing.pk}
    assert found(event=lead.event_id) == {lead.pk}
    assert found(ids=(lead.pk, failing.pk), text="bread") == {lead.pk}
