"""No subscriber depends on order: the events of one assignment lead to the same end, whichever comes first."""

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction

from messaging.broker.routing import queues_for
from messaging.consuming.subscriptions import handle
from messaging.models import OutboxEvent, ProcessedEvent
from notifier.models import Channel, Notification, Rule
from scripts import services
from scripts.models import Assignment, Step
from tests.integration.script_world import make_assignment, play_on

pytestmark = pytest.mark.django_db

KEYS = ("admin.script_created", "scripts.started", "scripts.finished")


@dataclass(frozen=True)
class Copy:
    """One event on its way to one queue."""

    queue: str
    exchange: str
    key: str
    body: bytes

    def __str__(self) -> str:
        return f"{self.key} to {self.queue}"

    def arrive(self) -> None:
        handle(self.queue, self.exchange, self.key, self.body)


@pytest.fixture
def assignment() -> Assignment:
    """Activated, and a channel hears of everything."""
    channel = Channel.objects.create(name="all", kind=Channel.Kind.FILE, address="/nowhere")
    Rule.objects.create(channel=channel, pattern="#")
    return services.assignment_activate(assignment_id=make_assignment(chats=1).pk)


def test_every_order_of_an_assignments_events_ends_alike_also_when_each_comes_twice(assignment: Assignment):
    copies = _rehearsed(assignment)
    assert sorted(map(str, copies)) == [
        "admin.script_created to scripts_queue",
        "admin.script_created to scripts_watchdog_queue",
        "scripts.finished to notifier_queue",
        "scripts.started to notifier_queue",
    ]
    expected = _end_of(assignment, tuple(copies))
    assert expected["assignment"] == "finished"
    assert expected["notifications"] == {"scripts.started": 1, "scripts.finished": 1}
    for order in itertools.permutations(copies):
        again = reversed(order)
        assert _end_of(assignment, (*order, *again)) == expected, [str(copy) for copy in order]


def _rehearsed(assignment: Assignment) -> list[Copy]:
    """The copies of all events of one whole play, which is taken back."""
    with transaction.atomic():
        copies = _on_their_way(KEYS[0])
        for copy in copies:
            copy.arrive()
        play_on(assignment)
        copies += [*_on_their_way(KEYS[1]), *_on_their_way(KEYS[2])]
        transaction.set_rollback(True)
    return copies


def _on_their_way(key: str) -> list[Copy]:
    return [
        Copy(queue, row.exchange, row.routing_key, row.body.encode())
        for row in OutboxEvent.objects.filter(routing_key=key)
        for queue in queues_for(row.exchange, row.routing_key)
    ]


def _end_of(assignment: Assignment, order: tuple[Copy, ...]) -> dict[str, Any]:
    """What is in the database when these have arrived and the bots have sent everything, which is rolled back."""
    with transaction.atomic():
        for copy in order:
            copy.arrive()
            play_on(assignment)
        steps = Step.objects.filter(play__assignment=assignment)
        end = {
            "assignment": Assignment.objects.get(pk=assignment.pk).state,
            "plays": sorted(assignment.plays.values_list("chat__key", "state", "state_reason", "incident")),
            "steps": sorted(steps.values_list("play__chat__key", "position", "text", "state")),
            "published": Counter(OutboxEvent.objects.values_list("routing_key", flat=True)),
            "handled": Counter(ProcessedEvent.objects.values_list("subscription", flat=True)),
            "notifications": Counter(Notification.objects.values_list("routing_key", flat=True)),
        }
        transaction.set_rollback(True)
    return end
