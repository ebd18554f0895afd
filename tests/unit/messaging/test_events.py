"""Events on the wire: what goes out, and what comes in from programs that know nothing of ours."""

import json
import uuid
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from messaging.broker import topology
from messaging.events import (
    Event,
    ServiceCrashedEvent,
    ServiceErrorEvent,
    ServiceStartedEvent,
    UndecodableMessage,
    check_version,
    decode,
    event_id,
)

EXCHANGE = "unit_exchange"


class Baked(Event, exchange=EXCHANGE, key="oven.{kind}.baked", service="bakery"):
    kind: str
    count: int = 1


class Burnt(Event, exchange=EXCHANGE, key="oven.bread.baked"):
    loaf: uuid.UUID


class Cooled(Event, exchange=EXCHANGE, key="oven.cooled"):
    pass


def test_an_event_survives_the_wire():
    event = Baked(kind="bun", count=3)
    assert decode(EXCHANGE, event.routing_key, event.to_json().encode()) == event


def test_the_body_is_a_flat_json_object_with_id_and_time():
    body = json.loads(Baked(kind="bun").to_json())
    assert set(body) == {"id", "created_at", "kind", "count"}
    assert uuid.UUID(body["id"])
    assert datetime.fromisoformat(body["created_at"]).tzinfo is not None


def test_keys_take_words_from_fields_and_name_the_publisher():
    assert (Baked(kind="bun").routing_key, Baked(kind="bun").publisher) == ("oven.bun.baked", "bakery")
    assert ServiceErrorEvent(service="parser", reason="x").routing_key == "parser.error"
    assert ServiceErrorEvent(service="parser", reason="x").publisher == "parser"


def test_an_event_knows_the_key_under_which_it_arrived_whatever_its_fields_contain():
    moved = decode(EXCHANGE, "oven.roll.baked", b'{"kind": "bun"}')
    assert (moved.arrived_under, moved.routing_key) == ("oven.roll.baked", "oven.bun.baked")
    assert Baked(kind="bun").arrived_under == "oven.bun.baked"


def test_events_are_facts_and_do_not_change():
    with pytest.raises(ValidationError):
        Baked(kind="bun").count = 4


def test_unknown_fields_are_ignored():
    assert isinstance(decode(EXCHANGE, "oven.cooled", b'{"weather": "fine"}'), Cooled)


def test_the_most_exact_class_whose_fields_are_there_is_picked():
    loaf = f'{{"loaf": "{uuid.uuid4()}"}}'.encode()
    assert isinstance(decode(EXCHANGE, "oven.bread.baked", loaf), Burnt)
    assert isinstance(decode(EXCHANGE, "oven.bread.baked", b'{"kind": "bread"}'), Baked)


def test_the_exchange_is_part_of_the_type():
    with pytest.raises(UndecodableMessage, match="no event has the routing key"):
        decode("another_exchange", "oven.cooled", b"{}")


@pytest.mark.parametrize(
    ("key", "cls"),
    [("bots.started", ServiceStartedEvent), ("bots.error", ServiceErrorEvent), ("bots.crash", ServiceCrashedEvent)],
)
def test_system_events_are_known_for_every_service(key: str, cls: type[Event]):
    body = b'{"service": "bots", "reason": "r"}'
    assert isinstance(decode(topology.EVENTS_EXCHANGE, key, body), cls)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"\xff", "not UTF-8"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"9" * 5_000, "not JSON"),
        (b"null", "not an object"),
        (b'{"id": "nonsense"}', "id:"),
        (b'{"id": 5}', "id:"),
        (b'{"created_at": "yesterday"}', "created_at:"),
    ],
)
def test_what_is_no_event_is_refused_with_a_reason(body: bytes, reason: str):
    with pytest.raises(UndecodableMessage, match=reason):
        decode(EXCHANGE, "oven.cooled", body)
    assert event_id(EXCHANGE, "oven.cooled", body) == event_id(EXCHANGE, "oven.cooled", body)


def test_a_body_that_is_too_large_is_refused_before_it_is_read():
    body = b'{"text": "' + b"x" * 10_000_000 + b'"}'
    with pytest.raises(UndecodableMessage, match="10000012 bytes"):
        decode(EXCHANGE, "oven.cooled", body)
    assert event_id(EXCHANGE, "oven.cooled", body) == event_id(EXCHANGE, "oven.cooled", body)


def test_deep_nesting_in_an_unread_field_is_ignored_or_refused_but_never_an_accident():
    nested = b'{"weather": ' + b"[" * 400 + b"]" * 400 + b"}"
    assert isinstance(decode(EXCHANGE, "oven.cooled", nested), Cooled)
    with pytest.raises(UndecodableMessage, match="not JSON"):
        decode(EXCHANGE, "oven.cooled", b'{"weather": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")


@pytest.mark.parametrize("version", ["1", "1.7", 1, "0"])
def test_known_versions_are_read(version: object):
    check_version({topology.VERSION_HEADER: version})
    check_version({})


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("2", "has version 2"),
        ("2.0", "the highest supported version is 1"),
        (3, "has version 3"),
        ("new", "not a version"),
        ("", "not a version"),
    ],
)
def test_a_later_major_version_is_refused_with_a_reason(version: object, reason: str):
    with pytest.raises(UndecodableMessage, match=reason):
        check_version({topology.VERSION_HEADER: version})


class Anything(Event, exchange=EXCHANGE, key="{place}.{what}", fallback=True):
    place: str
    what: str


class Washed(Event, exchange=EXCHANGE, key="oven.washed"):
    water: int


def test_a_fallback_hears_only_what_no_other_class_is_for():
    assert isinstance(decode(EXCHANGE, "cellar.flooded", b"{}"), Anything)
    assert isinstance(decode(EXCHANGE, "oven.washed", b'{"water": 5}'), Washed)
    with pytest.raises(UndecodableMessage, match="not a Washed: water: Field required"):
        decode(EXCHANGE, "oven.washed", b"{}")


def test_a_refusal_never_repeats_a_field_of_the_body():
    with pytest.raises(UndecodableMessage) as problem:
        decode(EXCHANGE, "oven.bun.baked", b'{"kind": "bun", "count": "call me on 555"}')
    assert "555" not in str(problem.value)


def test_an_event_without_an_id_gets_the_message_id():
    known = uuid.uuid4()
    assert decode(EXCHANGE, "oven.cooled", b"{}", message_id=str(known)).id == known


def test_an_event_without_any_id_gets_one_of_its_type_and_content():
    first = decode(EXCHANGE, "oven.cooled", b"{}").id
    assert first == decode(EXCHANGE, "oven.cooled", b"{}").id
    assert first != decode(EXCHANGE, "oven.cooled", b"{ }").id
    assert first != event_id(EXCHANGE, "oven.warmed", b"{}")
    assert first != event_id(EXCHANGE, "oven.cooled", b"{}", message_id="order 66")


def test_its_own_id_outranks_the_message_id():
    own = uuid.uuid4()
    body = f'{{"id": "{own}"}}'.encode()
    assert event_id(EXCHANGE, "oven.cooled", body, message_id=str(uuid.uuid4())) == own


def test_odd_bytes_in_keys_and_message_ids_do_no_harm():
    assert event_id(EXCHANGE, "oven.\udcff", b"{}", message_id="\udcff")


@pytest.mark.parametrize(("text", "hour"), [("2026-01-02T03:04:05", 3), ("2026-01-02T03:04:05+02:00", 1)])
def test_times_without_a_zone_are_utc(text: str, hour: int):
    event = decode(EXCHANGE, "oven.cooled", json.dumps({"created_at": text}).encode())
    assert event.created_at.astimezone(UTC).hour == hour
