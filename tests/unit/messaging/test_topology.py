"""Rules of the topology that no broker of the tests would enforce, and the wire contract that others rely on."""

import inspect
import re

import pytest

from coolthing_site.celery import app
from coolthing_site.processes.beat_schedule import PERIODS, beat_schedule
from messaging.broker import topology
from messaging.broker.topology import TOPOLOGY
from messaging.consuming.work_tasks import WorkTask
from messaging.publishing import celery_producer

SUBSCRIBED = [topology.SCRIPTS_QUEUE, topology.SCRIPTS_WATCHDOG_QUEUE, topology.LEADS_QUEUE, topology.NOTIFIER_QUEUE]
ARCHIVE = topology.DEAD_LETTER_ARCHIVE_QUEUE


@pytest.mark.parametrize("queue", TOPOLOGY.queues, ids=lambda queue: queue.name)
def test_every_queue_declares_on_rabbitmq_4(queue: topology.QueueSpec):
    arguments = queue.arguments
    assert arguments["x-queue-type"] == "quorum"
    assert isinstance(arguments["x-delivery-limit"], int)
    assert (topology.TASKS_EXCHANGE, queue.name) in queue.all_bindings
    for exchange, _ in queue.all_bindings:
        assert TOPOLOGY.has_exchange(exchange)


def test_celery_uses_no_global_qos_and_no_transient_shared_queue():
    conf = app.conf
    assert conf.worker_detect_quorum_queues
    assert conf.control_queue_durable or conf.control_queue_exclusive
    assert conf.event_queue_durable or conf.event_queue_exclusive


def test_a_worker_neither_declares_delayed_queues_nor_its_own():
    from messaging.consuming.consumer import EventConsumer

    assert not [step for step in EventConsumer.Blueprint.default_steps if "delayed_delivery" in str(step)]
    assert all(queue.no_declare for queue in app.amqp.queues.values())


def test_celery_knows_every_queue_with_the_arguments_that_the_broker_has():
    # A test's own subscription adds its queue to the app of this process.
    known = {name: queue.queue_arguments for name, queue in app.amqp.queues.items() if TOPOLOGY.has_queue(name)}
    assert known == {queue.name: queue.arguments for queue in TOPOLOGY.queues}


@pytest.mark.parametrize(
    ("queue", "exchange", "key", "dlq", "kept"),
    [
        (topology.SCRIPTS_QUEUE, "scripts_dlx", "scripts.failed", topology.SCRIPTS_DLQ, 86_400_000),
        (topology.LEADS_QUEUE, "leads_dlx", "leads.failed", topology.LEADS_DLQ, 3_600_000),
    ],
)
def test_dead_letters_go_where_the_wire_contract_requires(queue: str, exchange: str, key: str, dlq: str, kept: int):
    arguments = TOPOLOGY.queue(queue).arguments
    assert (arguments["x-dead-letter-exchange"], arguments["x-dead-letter-routing-key"]) == (exchange, key)
    assert TOPOLOGY.queue(dlq).arguments["x-message-ttl"] == kept


@pytest.mark.parametrize("queue", [*SUBSCRIBED, *topology.TASKS])
def test_each_subscription_and_work_queue_has_two_queues_for_its_dead(queue: str):
    letters = TOPOLOGY.queue(queue).dead_letters
    assert letters is not None
    assert (letters.exchange, letters.routing_key) in TOPOLOGY.queue(letters.queue).bindings
    assert (letters.exchange, "#") in TOPOLOGY.queue(ARCHIVE).bindings
    assert letters.kept_ms > 0


def test_the_last_copy_of_a_message_never_expires_and_has_nowhere_to_fall():
    for name in topology.RAW_SUBSCRIPTIONS:
        queue = TOPOLOGY.queue(name)
        assert queue.message_ttl_ms is None
        assert queue.dead_letters is None
        assert queue.delivery_limit > topology.DELIVERY_LIMIT


def test_the_bindings_are_those_of_the_wire_contract():
    found = {(exchange, key, queue.name) for queue in TOPOLOGY.queues for exchange, key in queue.bindings}
    assert found >= {
        ("scripts_exchange", "admin.script_created", "scripts_queue"),
        ("scripts_exchange", "admin.script_created", "scripts_watchdog_queue"),
        ("leads_exchange", "lead.*", "leads_queue"),
        ("events_exchange", "*.error", "notifier_queue"),
        ("events_exchange", "*.crash", "notifier_queue"),
        ("events_exchange", "#", "notifier_queue"),
    }


def test_what_is_unroutable_on_a_published_exchange_is_kept_by_a_policy():
    names = [
        exchange.name for exchange in TOPOLOGY.exchanges if re.search(topology.ALTERNATE_POLICY.pattern, exchange.name)
    ]
    assert set(names) == {"scripts_exchange", "leads_exchange", "events_exchange", "tasks"}
    assert topology.ALTERNATE_POLICY.definition == {"alternate-exchange": topology.UNROUTABLE_EXCHANGE}
    assert topology.ALTERNATE_POLICY in TOPOLOGY.policies


def test_every_task_has_one_home_and_every_queue_a_service():
    routes = topology.task_routes()
    named = [task for tasks in topology.TASKS.values() for task in tasks] + list(topology.SUBSCRIPTIONS.values())
    assert len(named) == len(set(named))
    assert set(routes) >= set(named)
    dead = {queue.dead_letters.queue for queue in TOPOLOGY.queues if queue.dead_letters}
    assert {queue.name for queue in TOPOLOGY.queues} - dead == set(topology.SERVICES)


def test_tasks_keep_their_names_and_arguments():
    """Messages under way, beat's rows and dead letters name them, from before an upgrade and from after it."""
    with_arguments = {
        "bots.tasks.run_bot": ["bot_id"],
        "leads.tasks.answer_lead": ["job_id"],
        "notifier.tasks.send_notification": ["notification_id"],
        "parser.tasks.look_at_hit": ["hit_id"],
    }
    without = {
        "bots.tasks.advance_cancellations",
        "bots.tasks.repair_deliveries",
        "bots.tasks.supervise_bots",
        "campaigns.tasks.tell_expiring",
        "leads.tasks.dispatch_due",
        "messaging.tasks.prune",
        "messaging.tasks_replay.advance_replays",
        "messaging.tasks_stats.sample_queues",
        "notifier.tasks.dispatch_due",
        "parser.tasks.dispatch_looks",
        "scripts.tasks.supervise_runs",
    }
    assert {task for tasks in topology.TASKS.values() for task in tasks} | {"bots.tasks.run_bot"} == (
        without | set(with_arguments)
    )
    for name, arguments in (with_arguments | {name: [] for name in without}).items():
        assert list(inspect.signature(app.tasks[name].run).parameters) == arguments, name


def test_every_task_of_a_work_queue_records_why_it_failed():
    for task in [task for tasks in topology.TASKS.values() for task in tasks]:
        assert isinstance(app.tasks[task], WorkTask), task


def test_a_beat_message_expires_with_its_period():
    for name, entry in beat_schedule().items():
        assert entry["options"]["expire_seconds"] == entry["schedule"] == PERIODS[name]
        assert topology.task_routes()[name] == {"queue": topology.MAINTENANCE_QUEUE}


def test_publishers_share_two_connections_with_ten_channels():
    assert app.conf.broker_pool_limit == 2
    assert app.conf.broker_transport_options == {"confirm_publish": True, "channel_max": 10}


def test_a_publisher_waits_for_a_silent_broker_for_seconds_only():
    assert 0 < app.conf.broker_connection_timeout <= 4
    assert 0 < celery_producer.CONFIRM_SECONDS <= 4


def test_no_handled_message_is_lost_by_celerys_defaults():
    conf = app.conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.task_acks_on_failure is False
    assert conf.task_create_missing_queues is False
    assert conf.result_backend is None
