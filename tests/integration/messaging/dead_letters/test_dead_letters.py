"""The archive takes any message, and what an operator may do with a letter."""

import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.broker import topology
from messaging.consuming.subscriptions import handle
from messaging.dead_letters.archive import letters_known
from messaging.dead_letters.services import dead_letter_discard, dead_letter_replay
from messaging.messages import body_digest
from messaging.models import DeadLetter, HandlingFailure, OutboxEvent, QueueControl
from messaging.services import queue_pause, queue_resume
from panelkit.errors import NotPossible
from tests.integration.letters import archive, death
from tests.integration.letters import letter as make

pytestmark = pytest.mark.django_db


def test_a_dead_letter_shows_where_and_why_it_died():
    HandlingFailure.objects.create(
        queue=topology.LEADS_QUEUE, body_digest=body_digest(b'{"a": 1}'), error="ValueError: x", traceback="Traceback"
    )
    letter = make()
    assert (letter.queue, letter.exchange, letter.routing_key) == (topology.LEADS_QUEUE, "leads_exchange", "lead.1")
    assert (letter.reason, letter.error, letter.traceback) == ("rejected", "ValueError: x", "Traceback")
    assert letter.state == DeadLetter.State.OPEN


def test_a_dead_letter_without_a_recorded_error_has_that_as_its_error():
    assert "without a record" in make().error


def test_an_expired_dead_letter_does_not_borrow_the_error_of_another_time():
    HandlingFailure.objects.create(queue=topology.LEADS_QUEUE, body_digest=body_digest(b'{"a": 1}'), error="old")
    letter = make(headers=death(reason="expired"))
    assert (letter.reason, letter.error) == ("expired", "")


@pytest.mark.parametrize(
    "body", [b"", b"\x00\xff\xfe", b'"\\ud800"', b"[" * 100_000, "ы".encode() * 1000, b'{"a": "\\u0000"}']
)
def test_a_body_of_any_shape_is_kept(body: bytes):
    assert make(body).body_digest == body_digest(body)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-death": "nonsense"},
        {"x-death": [5]},
        {"x-death": [{"queue": None, "routing-keys": []}]},
        {
            "bytes": b"\xff\x00",
            "time": datetime(2026, 1, 1, tzinfo=UTC),
            "nan": float("nan"),
            "decimal": Decimal("1.5"),
            "huge": 10**30,
            "nested": {"list": [1, None, True, {"nul": "\0", "surrogate": "\ud800"}]},
        },
        {"x-death": [{"queue": "q" * 500, "reason": "r" * 500, "exchange": "e" * 500, "routing-keys": ["k" * 500]}]},
        {topology.EVENT_ID_HEADER: 5, topology.REPLAY_HEADER: ["x"]},
    ],
)
def test_headers_of_any_shape_are_kept(headers: dict[str, Any]):
    archive(b"{}", headers)
    assert DeadLetter.objects.count() == 1


def test_one_event_dead_in_one_queue_is_one_dead_letter_that_counts():
    make(headers=death(count=1))
    make(headers=death(count=2))
    assert make(headers=death(topology.NOTIFIER_QUEUE)).queue == topology.NOTIFIER_QUEUE
    assert list(DeadLetter.objects.order_by("id").values_list("count", flat=True)) == [2, 1]


def test_a_second_delivery_of_one_death_counts_nothing():
    archive(b"{}")
    archive(b"{}")
    assert DeadLetter.objects.get().count == 1


def test_a_replay_goes_to_the_queue_by_name_and_keeps_its_type():
    letter = make(headers=death() | {"x-first-death-queue": "leads_queue", "theirs": "kept"})
    dead_letter_replay(letter_id=letter.pk, by="operator")
    row = OutboxEvent.objects.get()
    assert (row.exchange, row.routing_key) == (topology.TASKS_EXCHANGE, topology.LEADS_QUEUE)
    assert row.event_id == letter.event_id
    assert row.headers[topology.ORIGINAL_EXCHANGE_HEADER] == topology.LEADS_EXCHANGE
    assert row.headers[topology.ORIGINAL_ROUTING_KEY_HEADER] == "lead.1"
    assert row.headers[topology.EVENT_ID_HEADER] == str(letter.event_id)
    assert row.headers["theirs"] == "kept"
    assert not [name for name in row.headers if name.startswith("x-first-death")]


def test_a_replayed_dead_letter_that_dies_again_opens_again():
    letter = make()
    dead_letter_replay(letter_id=letter.pk, by="operator")
    headers = OutboxEvent.objects.get().headers
    replayed: dict[str, Any] = {"exchange": topology.TASKS_EXCHANGE, "routing-keys": [topology.LEADS_QUEUE]}
    died_again = death(**replayed)
    again = make(headers=headers | died_again)
    assert again.pk == letter.pk
    assert (again.state, again.count) == (DeadLetter.State.OPEN, 2)
    assert (again.exchange, again.routing_key) == (topology.LEADS_EXCHANGE, "lead.1")


def test_what_was_unroutable_is_replayed_to_its_exchange():
    handle(topology.UNROUTABLE_QUEUE, topology.LEADS_EXCHANGE, "lead.a.b", b"{}", {})
    letter = DeadLetter.objects.get()
    assert (letter.queue, letter.reason) == ("", "unroutable")
    dead_letter_replay(letter_id=letter.pk, by="operator")
    row = OutboxEvent.objects.get(event_id=letter.event_id)
    assert (row.exchange, row.routing_key) == (topology.LEADS_EXCHANGE, "lead.a.b")


def test_a_dead_letter_is_decided_once():
    letter = make()
    discarded = dead_letter_discard(letter_id=letter.pk, reason="a test", by="operator")
    assert (discarded.state, discarded.decided_by, discarded.decision_reason) == ("discarded", "operator", "a test")
    with pytest.raises(NotPossible):
        dead_letter_replay(letter_id=letter.pk, by="operator")
    with pytest.raises(NotPossible):
        dead_letter_discard(letter_id=letter.pk, reason="again", by="operator")
    assert not OutboxEvent.objects.exists()


def test_bytes_that_are_no_text_cannot_be_replayed():
    with pytest.raises(NotPossible, match="not UTF-8"):
        dead_letter_replay(letter_id=make(b"\xff").pk, by="operator")


def test_a_dead_letter_of_a_queue_without_a_subscriber_cannot_be_replayed():
    with pytest.raises(NotPossible, match="has no subscriber any more"):
        dead_letter_replay(letter_id=make(headers=death("gone_queue")).pk, by="operator")


def test_dead_letters_are_found_among_many_by_their_events():
    mine = [make(json.dumps({"id": str(uuid.uuid4())}).encode()) for _ in range(3)]
    with connection.cursor() as cursor, CaptureQueriesContext(connection) as asked:
        cursor.execute(
            "INSERT INTO messaging_deadletter (queue, exchange, routing_key, event_id, body_digest, body, edited_body,"
            " headers, x_death, reason, error, error_class, traceback, count, state, event_type, decided_by,"
            " decision_reason) SELECT %s, '', '', gen_random_uuid(), number::text, '', '', '{}', '[]', 'rejected', '',"
            " '', '', 1, 'open', '', '', '' FROM generate_series(1, 5000) AS number",
            [topology.LEADS_QUEUE],
        )
        cursor.execute("ANALYZE messaging_deadletter")
        keys = [(letter.queue, letter.event_id, letter.body_digest) for letter in mine]
        known = letters_known([*keys, (topology.LEADS_QUEUE, uuid.uuid4(), "")])
        assert known == {key: letter.pk for key, letter in zip(keys, mine, strict=True)}
        cursor.execute(f"EXPLAIN {asked[-1]['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "letters_of_event" in plan and "Seq Scan" not in plan, plan


def test_the_event_keeps_its_own_id():
    event = uuid.uuid4()
    assert make(f'{{"id": "{event}"}}'.encode()).event_id == event


def test_a_pause_is_recorded_and_reversed():
    queue_pause(queue=topology.LEADS_QUEUE, reason="maintenance", by="operator")
    control = QueueControl.objects.get()
    assert (control.paused, control.reason, control.changed_by) == (True, "maintenance", "operator")
    queue_resume(queue=topology.LEADS_QUEUE, by="operator")
    assert not QueueControl.objects.get().paused


def test_only_queues_that_exist_can_be_paused():
    with pytest.raises(NotPossible):
        queue_pause(queue="nope", reason="", by="operator")
