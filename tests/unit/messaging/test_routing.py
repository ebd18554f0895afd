import pytest

from messaging.broker import topology
from messaging.broker.routing import queues_for, topic_matches


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("lead.*", "lead.7", True),
        ("lead.*", "lead", False),
        ("lead.*", "lead.7.8", False),
        ("#", "scripts.started", True),
        ("#", "", True),
        ("*.crash", "bots.crash", True),
        ("*.crash", "bots.error", False),
        ("bots.#", "bots", True),
        ("bots.#", "bots.a.b", True),
        ("#.b", "a.a.b", True),
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
    ],
)
def test_topic_pattern(pattern, key, matches):
    assert topic_matches(pattern, key) is matches


def test_script_reaches_both_readers():
    reached = queues_for(topology.SCRIPTS_EXCHANGE, "admin.script_created")
    assert sorted(reached) == [topology.SCRIPTS_QUEUE, topology.SCRIPTS_WATCHDOG_QUEUE]


def test_event_that_several_bindings_match_is_received_once():
    assert queues_for(topology.EVENTS_EXCHANGE, "bots.crash") == [topology.NOTIFIER_QUEUE]


def test_replay_reaches_the_named_queue_only():
    assert queues_for(topology.TASKS_EXCHANGE, topology.LEADS_QUEUE) == [topology.LEADS_QUEUE]
