"""The same thing twice at the same moment, on real connections."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, connections, transaction

from bots.gate.origins import origin_named
from bots.gate.verdicts import Wait
from bots.models import Delivery
from messaging.broker import topology
from messaging.consuming.subscriptions import handle
from messaging.database.clock import database_clock
from messaging.models import OutboxEvent
from scripts import services
from scripts.models import Assignment, Play, Step
from tests.integration.script_world import make_assignment, play_on, queued, settle
from tests.support import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 60  # seconds until a thread counts as stuck


def together(*calls: Callable[[], object]) -> list[BaseException]:
    """Run the calls at one moment, each on its own connection; what they raised."""
    start, raised = threading.Barrier(len(calls)), []

    def run(call: Callable[[], object]) -> None:
        try:
            start.wait(PATIENCE)
            call()
        except BaseException as error:
            raised.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    return raised


def count(key: str) -> int:
    return OutboxEvent.objects.filter(routing_key=key).count()


def playing(**options) -> Assignment:
    assignment = make_assignment(**options)
    services.assignment_activate(assignment_id=assignment.pk)
    services.assignment_prepare(assignment_id=str(assignment.pk))
    return assignment


def test_two_activations_publish_once():
    assignment = make_assignment()
    assert not together(*[lambda: services.assignment_activate(assignment_id=assignment.pk)] * 4)
    assert count("admin.script_created") == 1


def test_copies_of_one_message_and_other_messages_for_one_script_prepare_once():
    assignment = make_assignment(chats=2)
    services.assignment_activate(assignment_id=assignment.pk)
    own = OutboxEvent.objects.get().body.encode()
    foreign = b'{"script_for_campaign_id": "%s"}' % str(assignment.pk).encode()

    def deliver(queue: str, body: bytes) -> Callable[[], None]:
        return lambda: handle(queue, topology.SCRIPTS_EXCHANGE, "admin.script_created", body)

    queues = (topology.SCRIPTS_QUEUE, topology.SCRIPTS_WATCHDOG_QUEUE)
    assert not together(*[deliver(queue, body) for queue in queues for body in (own, own, foreign)])
    assert Play.objects.count() == 2 and Delivery.objects.count() == 2 and count("scripts.started") == 1


def test_the_last_lines_of_all_chats_at_once_end_the_script_once():
    assignment = playing(chats=4, lines=(("host", "one", None),))
    assert not together(*[lambda d=delivery: settle(d) for delivery in queued(assignment)])
    assert Assignment.objects.get().state == "finished" and count("scripts.finished") == 1


def test_one_settling_twice_at_once_queues_one_next_line():
    assignment = playing(chats=1)
    delivery = queued(assignment)[0]
    with transaction.atomic():
        Delivery.objects.filter(pk=delivery.pk).update(state="unknown")
    delivery.refresh_from_db()
    assert not together(*[lambda: services.step_settle(delivery=delivery, now=database_clock())] * 3)
    assert Step.objects.filter(state="queued").count() <= 1 and Step.objects.get(position=1).state == "not_said"


@pytest.mark.parametrize("attempt", range(5))
def test_a_stop_in_the_middle_of_settling_and_sweeping_ends_everything(attempt):
    assignment = playing(chats=4)
    services.assignment_arm(assignment_id=str(assignment.pk))

    def mark_sent(delivery: Delivery) -> Callable[[], None]:
        def call() -> None:
            with transaction.atomic():
                if Delivery.objects.filter(pk=delivery.pk, state="queued").update(state="sending"):
                    delivery.state = "sending"
                    settle(delivery)

        return call

    calls = [mark_sent(delivery) for delivery in queued(assignment)]
    assert not together(
        *calls,
        lambda: services.assignment_stop(assignment_id=assignment.pk),
        lambda: services.assignment_stop(assignment_id=assignment.pk),
        services.plays_supervise,
    )
    services.plays_supervise()
    assignment.refresh_from_db()
    assert assignment.state == "stopped" and assignment.finished_at and count("scripts.finished") == 1
    assert not Step.objects.filter(state__in=("pending", "queued")).exists()
    assert not Delivery.objects.filter(state="queued").exists()


def test_pausing_waits_for_the_claim_that_has_the_lock_and_then_nothing_passes():
    assignment = playing(chats=1)
    origin, delivery = origin_named("scripts.step"), queued(assignment)[0]
    assert origin is not None
    paused = threading.Event()

    def pause() -> None:
        services.assignment_pause(assignment_id=assignment.pk)
        paused.set()
        connections.close_all()

    with transaction.atomic():
        origin.lock_fences([delivery.origin_id])
        thread = threading.Thread(target=pause, daemon=True)
        thread.start()
        _wait_for_a_blocked_update()
        assert not paused.is_set()
    thread.join(PATIENCE)
    assert paused.is_set()
    assert origin.verdicts([delivery], now=database_clock()) == {delivery.pk: Wait(None, "the play is paused")}
    services.assignment_resume(assignment_id=assignment.pk)
    play_on(assignment)


def _wait_for_a_blocked_update() -> None:
    def blocked() -> bool:
        with connection.cursor() as cursor:
            # The view is frozen at its first reading in a transaction.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return bool(cursor.fetchone()[0])

    wait_until(blocked, what="an update that waits for the fence")
