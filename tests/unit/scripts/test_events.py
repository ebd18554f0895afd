"""The scripts room's messages, exactly as the wire contract has them."""

import json
import random
import uuid
from datetime import UTC, datetime

import pytest

from messaging.broker import topology
from messaging.events import UndecodableMessage, decode
from scripts.events import NewActiveScript, ScriptFinishedEvent, ScriptStartedEvent

ASSIGNMENT = uuid.UUID("11111111-1111-4111-8111-111111111111")


def test_bodies_are_flat_and_carry_id_and_time():
    at = datetime(2026, 11, 23, 5, tzinfo=UTC)
    events = {
        "admin.script_created": NewActiveScript(script_for_campaign_id=str(ASSIGNMENT)),
        "scripts.started": ScriptStartedEvent(sfc_id=ASSIGNMENT, chats=["@chat", -1001]),
        "scripts.finished": ScriptFinishedEvent(sfc_id=ASSIGNMENT, finished_at=at, problems=[ASSIGNMENT, None]),
    }
    for key, event in events.items():
        body = json.loads(event.to_json())
        assert event.routing_key == key
        assert body["id"] == str(event.id) and datetime.fromisoformat(body["created_at"]) == event.created_at
        assert decode(event.exchange_name(), key, event.to_json().encode()) == event
    assert json.loads(events["scripts.started"].to_json())["chats"] == ["@chat", -1001]
    assert json.loads(events["scripts.finished"].to_json())["problems"] == [str(ASSIGNMENT), None]


def test_services_are_counted_by_the_first_word_of_the_key():
    assert NewActiveScript(script_for_campaign_id="x").publisher == "admin"
    assert ScriptStartedEvent(sfc_id=ASSIGNMENT, chats=[]).publisher == "scripts"


@pytest.mark.parametrize("seed", range(30))
def test_a_mutilated_activation_is_refused_in_words_or_understood(seed):
    rng = random.Random(seed)
    body = bytearray(NewActiveScript(script_for_campaign_id=str(ASSIGNMENT)).to_json().encode())
    for _ in range(rng.randint(1, 5)):
        body[rng.randrange(len(body))] = rng.randrange(256)
    try:
        decode(topology.SCRIPTS_EXCHANGE, "admin.script_created", bytes(body))
    except UndecodableMessage as error:
        assert str(error)
