"""An event that was published straight to a queue by its name: of the queue's only type, or an operator says which."""

import json
from typing import Any

import pytest

from leads.models import Lead
from messaging.broker import topology
from messaging.consuming.subscriptions import handle, handle_batch
from messaging.dead_letters.services import dead_letter_edit, dead_letter_replay
from messaging.events import UndecodableMessage
from messaging.models import OutboxEvent
from notifier.models import Channel, Notification, Rule
from panelkit.rights import Shell
from scripts.models import Assignment, Script
from tests.integration.leads_world import World
from tests.integration.letters import death, letter

pytestmark = pytest.mark.django_db

STRAIGHT = pytest.mark.parametrize("exchange", ["", topology.TASKS_EXCHANGE])
QUEUE = topology.LEADS_QUEUE
STRAIGHT_DEATH: dict[str, Any] = {"exchange": "", "routing-keys": [QUEUE]}


def _body(world: World, **fields: Any) -> bytes:
    return json.dumps(world.event(**fields)).encode()


@STRAIGHT
def test_it_has_the_only_type_of_its_queue(world: World, exchange: str):
    handle(QUEUE, exchange, QUEUE, _body(world))
    assert Lead.objects.get().campaign == world.campaign
    several = [_body(world, id=..., telegram_user_id=number) for number in (601, 602)]
    assert handle_batch(QUEUE, [(exchange, QUEUE, body, {}, None) for body in several]) == set()
    assert Lead.objects.count() == 3


@STRAIGHT
def test_a_script_is_prepared_and_armed(world: World, exchange: str):
    script = Script.objects.create(slug="opening", name="The opening")
    assignment = Assignment.objects.create(campaign=world.campaign, script=script)
    body = json.dumps({"script_for_campaign_id": str(assignment.pk)}).encode()
    for queue in (topology.SCRIPTS_QUEUE, topology.SCRIPTS_WATCHDOG_QUEUE):
        handle(queue, exchange, queue, body)


def test_a_body_without_the_fields_of_its_key_is_refused_with_a_reason(world: World):
    with pytest.raises(UndecodableMessage, match="not a NewTargetMessage: campaign_id: Field required"):
        handle(QUEUE, "", QUEUE, _body(world, campaign_id=...))


@pytest.mark.parametrize(
    ("exchange", "key", "headers"),
    [
        ("", "another_queue", {}),
        ("someones_exchange", QUEUE, {}),
        (topology.TASKS_EXCHANGE, QUEUE, {"task": "leads.tasks.answer_lead"}),
        (
            topology.TASKS_EXCHANGE,
            QUEUE,
            {topology.ORIGINAL_EXCHANGE_HEADER: "", topology.ORIGINAL_ROUTING_KEY_HEADER: "another_queue"},
        ),
    ],
)
def test_what_was_not_meant_for_the_queue_is_not_assumed(
    world: World, exchange: str, key: str, headers: dict[str, str]
):
    with pytest.raises(UndecodableMessage, match="no event has the routing key"):
        handle(QUEUE, exchange, key, _body(world), headers)


def test_a_dead_letter_from_before_is_repaired_by_a_replay(world: World):
    dead = letter(_body(world), death(**STRAIGHT_DEATH))
    dead_letter_replay(letter_id=dead.pk, by="ann")
    row = OutboxEvent.objects.get(event_id=dead.event_id)
    handle(QUEUE, row.exchange, row.routing_key, row.body.encode(), row.headers)
    assert Lead.objects.get().event_id == dead.event_id


def test_for_a_queue_with_several_types_the_operator_chooses_the_type():
    queue = topology.NOTIFIER_QUEUE
    Rule.objects.create(
        channel=Channel.objects.create(name="Team", kind="file", address="/dev/null"), pattern="*.crash"
    )
    body = b'{"reason": "out of memory"}'
    with pytest.raises(UndecodableMessage, match="notifier_queue receives several types of event: choose"):
        handle(queue, "", queue, body)
    dead = letter(body, death(queue, exchange="", **{"routing-keys": [queue]}))
    dead_letter_edit(letter_id=dead.pk, address=(topology.EVENTS_EXCHANGE, "billing.crash"), by="ann", holder=Shell())
    dead_letter_replay(letter_id=dead.pk, by="ann")
    row = OutboxEvent.objects.get(event_id=dead.event_id)
    assert (row.exchange, row.routing_key) == (topology.TASKS_EXCHANGE, queue)
    handle(queue, row.exchange, row.routing_key, row.body.encode(), row.headers)
    assert Notification.objects.get().event_id == dead.event_id
