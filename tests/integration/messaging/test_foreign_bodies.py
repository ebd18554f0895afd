"""Bodies of programs that know nothing of ours: taken as they are meant, or refused in words, not by the database."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from leads.models import Lead
from messaging.broker import topology
from messaging.consuming.execution import event_of
from messaging.consuming.subscriptions import handle, handle_batch, subscription_of
from messaging.dead_letters.archive import archive_all
from messaging.dead_letters.services import preview
from messaging.events import UndecodableMessage
from messaging.messages import ReceivedMessage, body_digest
from messaging.models import DeadLetter, HandlingFailure
from notifier.models import Channel, Notification, Rule
from privacy.person import Person
from tests.integration.leads_world import World

pytestmark = pytest.mark.django_db

BOM = "\ufeff"
SCRIPT_EVENTS = (topology.SCRIPTS_QUEUE, topology.SCRIPTS_WATCHDOG_QUEUE)


def receive(world: World, body: bytes) -> None:
    """Alone and as one of a batch: both ways lead to the same handler."""
    handle(topology.LEADS_QUEUE, topology.LEADS_EXCHANGE, f"lead.{world.campaign.id}", body)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"username": None}, {"username": ""}),
        ({"username": ...}, {"username": ""}),
        ({"username": " @Tea_Lover "}, {"username": "Tea_Lover"}),
        ({"worker_id": 12345}, {"worker_id": "12345"}),
        ({"said_at": "2026-03-01T12:00:00"}, {"hit_at": datetime(2026, 3, 1, 12, tzinfo=UTC)}),
        ({"said_at": "2026-03-01 12:00:00+02:00"}, {"hit_at": datetime(2026, 3, 1, 10, tzinfo=UTC)}),
        ({"said_at": None, "created_at": "2026-03-01T12:00:00"}, {"hit_at": datetime(2026, 3, 1, 12, tzinfo=UTC)}),
        ({"telegram_user_id": None, "message_id": None}, {"telegram_user_id": None, "message_id": None}),
        ({"telegram_user_id": "501", "chat_id": "-1001"}, {"telegram_user_id": 501, "chat_id": -1001}),
        ({"chat_id": -(2**63)}, {"chat_id": -(2**63)}),
        ({"message_id": 2**31 - 1}, {"message_id": 2**31 - 1}),
        ({"mood": "\0", "depth": [[[]]] * 3}, {"username": "Tea_Lover"}),
    ],
)
def test_a_lead_that_another_program_found_is_taken_as_it_is_meant(
    world: World, fields: dict[str, Any], expected: dict[str, Any]
):
    receive(world, (BOM + json.dumps(world.event(**fields))).encode())
    assert Lead.objects.values(*expected).get() == expected


UNFIT: dict[str, dict[str, Any]] = {
    "username: has 65 characters; the maximum is 64": {"username": "a" * 65},
    "worker_id: String should have at most 64 characters": {"worker_id": "a" * 65},
    "worker_id: Input should be a valid string": {"worker_id": True},
    "it identifies no person: it has neither a username nor a telegram_user_id": {
        "username": None,
        "telegram_user_id": None,
    },
    "it identifies no person": {"username": " @ ", "telegram_user_id": ...},
    "telegram_user_id: Input should be less than 9007199254740992": {"telegram_user_id": 2**63},
    "telegram_user_id: Input should be greater than 0": {"telegram_user_id": -100},
    "chat_id: Input should be less than 9223372036854775808": {"chat_id": 2**63},
    "chat_id: Input should be greater than or equal to -9223372036854775808": {"chat_id": -(2**63) - 1},
    "message_id: Input should be less than 2147483648": {"message_id": 2**31},
    "message: contains a NUL character": {"message": "tea\0"},
    "username: contains a NUL character": {"username": "tea\0"},
    "message: contains half of a surrogate pair": {"message": "tea \ud83d"},
    "worker_id: contains half of a surrogate pair": {"worker_id": "\udc00"},
    "said_at: its year is not between 1970 and 9998": {"said_at": "9999-12-31T23:00:00-12:00"},
    "created_at: its year is not between 1970 and 9998": {"created_at": "0001-01-01T00:00:00+14:00"},
    "chat_id: contains a number that is infinite or not a number": {"chat_id": float("nan")},
    "message: Field required": {"message": ...},
    "campaign_id: contains a NUL character": {"campaign_id": "\0"},
}


@pytest.mark.parametrize("reason", UNFIT)
def test_a_lead_that_cannot_be_kept_is_refused_in_words_and_harms_no_other(
    world: World, reason: str, caplog: pytest.LogCaptureFixture
):
    fine, unfit = (json.dumps(world.event(**fields)).encode() for fields in ({"id": str(uuid4())}, UNFIT[reason]))
    with pytest.raises(UndecodableMessage) as refused:
        receive(world, unfit)
    assert reason in str(refused.value)
    key = f"lead.{world.campaign.id}"
    failed = handle_batch(
        topology.LEADS_QUEUE, [(topology.LEADS_EXCHANGE, key, body, {}, None) for body in (unfit, fine)]
    )
    assert failed == {0}
    assert reason in HandlingFailure.objects.get().error
    assert "dead-lettered: UndecodableMessage at " in caplog.text
    assert reason not in caplog.text, "what the body says belongs into the database, not into logs"
    assert Lead.objects.count() == 1


UNFIT_EVENTS: list[tuple[str, dict[str, Any], str]] = [
    ("bots.error", {"service": "bots", "reason": "a\0"}, "reason: contains a NUL character"),
    ("bots.crash", {"service": "\udfff", "reason": "x"}, "service: contains half of a surrogate pair"),
    ("bots.banned", {"worker_id": str(uuid4()), "comment": "\0"}, "comment: contains a NUL character"),
    ("scripts.started", {"sfc_id": str(uuid4()), "chats": ["@a", "\0"]}, "chats: contains a NUL character"),
    ("scripts.started", {"sfc_id": "x", "chats": []}, "sfc_id: Input should be a valid UUID"),
    (
        "scripts.finished",
        {"sfc_id": str(uuid4()), "problems": [], "finished_at": "9999-12-31T23:00:00-12:00"},
        "finished_at: its year",
    ),
    ("billing.crash", {"service": "a" * 256, "reason": "x"}, "service: String should have at most 255 characters"),
    ("billing.error", {"service": "a" * 256, "reason": "x"}, "service: String should have at most 255 characters"),
    ("billing.started", {"service": "a" * 256}, "service: String should have at most 255 characters"),
    ("b" * 256, {}, "the routing key has 256 characters; the maximum is 255"),
    ("billing.\0", {}, "the routing key contains a NUL character"),
    ("billing.paid", {"sum": float("inf")}, "sum: contains a number that is infinite"),
    ("billing.paid", {"who": {"name\0": 1}}, "who: contains a NUL character"),
    ("billing.paid", {"n\0": 1}, "n\\x00: contains a NUL character"),
    ("billing.paid", {"tree": json.loads("[" * 60 + "]" * 60)}, "tree: is nested deeper than 50 levels"),
]


@pytest.mark.parametrize(("key", "fields", "reason"), UNFIT_EVENTS)
def test_a_system_event_that_cannot_be_kept_is_refused_in_words(key: str, fields: dict[str, Any], reason: str):
    channel = Channel.objects.create(name="Team", kind="file", address="/dev/null")
    Rule.objects.create(channel=channel, pattern="#")
    with pytest.raises(UndecodableMessage) as refused:
        handle(topology.NOTIFIER_QUEUE, topology.EVENTS_EXCHANGE, key, json.dumps(fields).encode())
    assert reason in str(refused.value)
    assert not Notification.objects.exists()


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        ("scripts.finished", {"sfc_id": str(uuid4()), "problems": [None], "finished_at": "2026-03-01T12:00:00"}),
        ("scripts.started", {"sfc_id": str(uuid4()), "chats": ["@a", -(2**70)]}),
        ("billing.paid", {"sum": 10**400, "names": {"ключ": ["значение", None, True, 1e300]}}),
        ("billing.paid", {"service": 5, "occurrence": ["odd"], "routing_key": "mine", "_routing_key": 7}),
        ("billing.paid", {"arrived_under": "mine", "_arrival_key": "mine"}),
        ("", {"reason": "no key"}),
        ("shutdown", {}),
        ("billing.", {}),
        ("a..b", {}),
        ("eu.billing.crash", {"service": "billing", "reason": "x"}),
        ("billing.db.slow query", {"seconds": 4}),
        ("я" * 127, {}),
    ],
)
def test_a_system_event_of_another_program_is_notified(key: str, fields: dict[str, Any]):
    channel = Channel.objects.create(name="Team", kind="file", address="/dev/null")
    Rule.objects.create(channel=channel, pattern="#")
    body = (BOM + json.dumps(fields)).encode()
    handle(topology.NOTIFIER_QUEUE, topology.EVENTS_EXCHANGE, key, body)
    made = Notification.objects.get()
    assert made.routing_key == key
    assert made.title


@pytest.mark.parametrize("occurrence", ["crash", "error", "started"])
@pytest.mark.parametrize("service", ["acme.billing", "Billing 2.0", "parser", "", "a" * 255])
def test_an_event_is_notified_under_the_key_that_it_came_with_whatever_service_its_body_names(
    occurrence: str, service: str
):
    channel = Channel.objects.create(name="Team", kind="file", address="/dev/null")
    Rule.objects.create(channel=channel, pattern=f"*.{occurrence}")
    body = json.dumps({"service": service, "reason": "x"}).encode()
    handle(topology.NOTIFIER_QUEUE, topology.EVENTS_EXCHANGE, f"billing.{occurrence}", body)
    made = Notification.objects.get()
    assert (made.routing_key, made.body["service"]) == (f"billing.{occurrence}", service)
    assert "billing" in made.title


@pytest.mark.parametrize("queue", SCRIPT_EVENTS)
@pytest.mark.parametrize("text", ["\0", "\ud800"])
def test_an_activated_script_whose_id_cannot_be_kept_is_refused_in_words(queue: str, text: str):
    body = json.dumps({"script_for_campaign_id": text}).encode()
    message = ReceivedMessage(queue, topology.SCRIPTS_EXCHANGE, "admin.script_created", body, {}, None)
    with pytest.raises(UndecodableMessage, match="script_for_campaign_id: contains"):
        event_of(subscription_of(queue), message)


def test_a_dead_letter_with_a_byte_order_mark_is_searched_edited_and_erased_like_any_other(world: World):
    body = (BOM + json.dumps(world.event(telegram_user_id="501"))).encode()
    key = f"lead.{world.campaign.id}"
    death = {
        "queue": topology.LEADS_QUEUE,
        "reason": "expired",
        "exchange": topology.LEADS_EXCHANGE,
        "routing-keys": [key],
    }
    archive_all(
        [ReceivedMessage("archive", topology.LEADS_EXCHANGE, key, body, {"x-death": [death]}, None)], unroutable=False
    )
    letter = DeadLetter.objects.get()
    assert letter.campaign_id == world.campaign.id
    assert letter.body_digest == body_digest(letter.body.encode())
    assert preview(letter, letter.body).diff == [] == preview(letter, letter.body.removeprefix(BOM)).diff
    assert preview(letter, letter.body).refusal == ""
    assert "contains a NUL" in preview(letter, letter.body.replace("Where", "\\u0000")).refusal
    assert Person(501).mentioned_in(letter.body)
