"""What the ids in the bodies of events stand for."""

import json
from uuid import uuid4

import pytest

from messaging import event_objects
from messaging.event_objects import campaign_of, name_of, names_of

PLAY, CAMPAIGN, OTHER = uuid4(), uuid4(), uuid4()


@pytest.fixture(autouse=True)
def kinds(monkeypatch):
    monkeypatch.setattr(event_objects, "_kinds", {})
    event_objects.register("worker_id", names=lambda ids: {})
    event_objects.register("campaign_id", names=lambda ids: {CAMPAIGN: "Tea"})
    event_objects.register("play_id", "run_id", names=lambda ids: {PLAY: "Tulips"}, campaign_of={PLAY: CAMPAIGN}.get)


@pytest.mark.parametrize("field", ["play_id", "run_id"])
def test_one_registration_gives_name_and_campaign_under_each_of_its_fields(field):
    assert name_of(field, str(PLAY)) == "Tulips" and names_of(field, [PLAY]) == {PLAY: "Tulips"}
    assert campaign_of(json.dumps({field: str(PLAY)})) == CAMPAIGN


@pytest.mark.parametrize(
    "field, value",
    [("play_id", str(OTHER)), ("play_id", "not an id"), ("chat_id", str(PLAY)), ("worker_id", "unknown")],
    ids=["unknown object", "no id", "unregistered field", "no name"],
)
def test_what_has_no_name_is_shown_as_it_came(field, value):
    assert name_of(field, value) == value


@pytest.mark.parametrize(
    "body, campaign",
    [
        ({"campaign_id": str(OTHER), "play_id": str(PLAY)}, OTHER),
        ({"campaign_id": None, "play_id": str(PLAY)}, None),
        ({"run_id": str(OTHER), "play_id": "not an id"}, None),
        ({"worker_id": str(OTHER), "play_id": str(PLAY)}, CAMPAIGN),
        ({"worker_id": str(OTHER)}, None),
    ],
    ids=["own campaign", "own campaign is null", "object gone", "object beside an account", "account alone"],
)
def test_the_bodys_own_campaign_counts_before_an_objects(body, campaign):
    assert campaign_of("\ufeff" + json.dumps(body)) == campaign


@pytest.mark.parametrize("body", ["[]", "{", '"text"', "[" * 100_000], ids=["list", "cut off", "text", "deep"])
def test_other_shapes_have_no_campaign(body):
    assert campaign_of(body) is None
