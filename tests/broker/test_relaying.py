"""From the outbox to a real broker, through everything that can happen on the way."""

import signal
import uuid
from datetime import datetime
from functools import partial
from urllib.parse import quote

import amqp
import psycopg
from django.db import connection, transaction

from messaging.broker import declare, topology
from messaging.events import MAX_BODY_BYTES, ServiceErrorEvent, decode
from messaging.models import OutboxEvent
from messaging.publishing import outbox
from messaging.publishing.outbox import publish_on_commit
from messaging.services import outbox_release
from tests.broker import probe
from tests.broker.conftest import Probe, StartProcess
from tests.broker.probe import PROBE_EXCHANGE, PROBE_QUEUE, ProbeHappened
from tests.broker.proxy import BlockingProxy
from tests.private import Broker, database_url
from tests.support import Process, wait_until


def _publish(*events: ProbeHappened) -> None:
    with transaction.atomic():
        publish_on_commit(*events)


def _relay(start_process: StartProcess, line: str = "relay: publishing", **env: str) -> Process:
    relay = start_process("manage.py", "relay_events", **env)
    relay.wait_for_log(line)
    return relay


def _all_published() -> bool:
    return not OutboxEvent.objects.filter(published_at__isnull=True).exists()


def test_an_event_goes_from_the_outbox_through_relay_and_worker_once(probed: Probe, start_process: StartProcess):
    _relay(start_process)
    worker = probed.start_worker()
    event = ProbeHappened(text="x")
    _publish(event)
    wait_until(_all_published)
    probed.settle(worker, PROBE_QUEUE, handled=1)
    assert probed.effects(event.id) == 1


def test_what_was_committed_while_no_relay_ran_goes_out_in_order(probed: Probe, start_process: StartProcess):
    events = [ProbeHappened(text=str(number)) for number in range(1200)]
    _publish(*events)
    _relay(start_process)
    wait_until(_all_published)
    with probed.broker.channel() as channel:
        bodies = [channel.basic_get(PROBE_QUEUE, no_ack=True).body for _ in events]
    assert bodies == [event.to_json() for event in events]


def test_a_relay_killed_between_publishing_and_marking_resends_and_the_effect_happens_once(
    probed: Probe, start_process: StartProcess
):
    event = ProbeHappened()
    _publish(event)
    with psycopg.connect(database_url()) as other:
        # A locked row keeps the relay from marking what it has published.
        other.execute("SELECT id FROM messaging_outboxevent FOR UPDATE")
        relay = _relay(start_process)
        wait_until(lambda: probed.broker.ready(PROBE_QUEUE) == 1)
        relay.kill()
        # The server does not notice while it waits for the lock, and would finish the dead relay's statement.
        _end_relay_sessions()
    _relay(start_process)
    wait_until(_all_published)
    wait_until(lambda: probed.broker.ready(PROBE_QUEUE) == 2)
    probed.settle(probed.start_worker(), PROBE_QUEUE, handled=2)
    assert probed.effects(event.id) == 1


def test_a_standby_takes_over_from_a_killed_relay(probed: Probe, start_process: StartProcess):
    first = _relay(start_process)
    second = _relay(start_process, line="relay: standing by")
    first.kill()
    second.wait_for_log("relay: publishing")
    _publish(ProbeHappened())
    wait_until(_all_published)
    assert probed.broker.ready(PROBE_QUEUE) == 1


def test_a_standby_takes_over_from_a_frozen_relay_which_stands_by_when_it_thaws(
    probed: Probe, start_process: StartProcess
):
    first = _relay(start_process, RELAY_SILENT_SECONDS="2")
    second = _relay(start_process, line="relay: standing by", RELAY_SILENT_SECONDS="2")
    first.signal(signal.SIGSTOP)
    second.wait_for_log("relay: publishing")
    event = ProbeHappened()
    _publish(event)
    wait_until(_all_published)
    first.signal(signal.SIGCONT)
    first.wait_for_log("relay: standing by")
    assert probed.broker.ready(PROBE_QUEUE) == 1


def test_a_relay_that_loses_its_database_connection_comes_back(probed: Probe, start_process: StartProcess):
    relay = _relay(start_process)
    _end_relay_sessions()
    relay.wait_for_log("waiting for the database")
    _publish(ProbeHappened())
    wait_until(_all_published)
    assert relay.log().count("relay: publishing") == 2


def test_a_relay_whose_broker_connection_is_closed_comes_back(probed: Probe, start_process: StartProcess):
    relay = _relay(start_process)

    def close_connections() -> bool:
        vhost = probed.broker.api.vhost
        found = probed.broker.api.call("GET", f"vhosts/{vhost}/connections")
        for item in found:
            probed.broker.api.call("DELETE", f"connections/{quote(item['name'])}")
        return bool(found)

    wait_until(close_connections, what="the relay's connection in the management API")
    relay.wait_for_log("waiting for the broker")
    _publish(ProbeHappened())
    wait_until(_all_published)


def test_without_a_broker_the_relay_reports_it_once_and_still_stops_cleanly(
    broker: Broker, start_process: StartProcess
):
    relay = _relay(start_process, line="relay: waiting for the broker", RABBITMQ_URL="pyamqp://a:b@127.0.0.1:1/x")
    assert relay.log().count("waiting for the broker") == 1
    assert relay.stop() == 0


def test_sigterm_ends_a_relay_cleanly(broker: Broker, start_process: StartProcess):
    relay = _relay(start_process)
    relay.signal(signal.SIGTERM)
    assert relay.wait() == 0
    assert "relay: stopped" in relay.log()


def test_an_event_that_the_broker_cannot_accept_is_unpublishable_with_a_reason_and_the_others_are_published(
    probed: Probe, start_process: StartProcess
):
    before, after = ProbeHappened(), ProbeHappened()
    too_large = ProbeHappened(text="x" * MAX_BODY_BYTES)
    with transaction.atomic():
        publish_on_commit(before, too_large)
        outbox.enqueue(_row("no_such_exchange"))
        odd = _row("odd_headers")
        odd.headers = {"x-" * 200: 2**70}
        outbox.enqueue(odd)
        publish_on_commit(after)
    _relay(start_process)
    wait_until(lambda: _published() >= {before.id, after.id})
    wait_until(lambda: OutboxEvent.objects.filter(parked_at__isnull=False).count() == 3)
    reasons = dict(OutboxEvent.objects.filter(parked_at__isnull=False).values_list("exchange", "parked_reason"))
    assert "bytes" in reasons[PROBE_EXCHANGE]
    assert "NOT_FOUND" in reasons["no_such_exchange"]
    assert "headers cannot be written as AMQP" in reasons["odd_headers"]


def test_an_unpublishable_event_is_reported_once_even_when_it_is_released_and_fails_again(
    probed: Probe, start_process: StartProcess
):
    _publish(ProbeHappened(text="x" * MAX_BODY_BYTES))
    parked = OutboxEvent.objects.get()
    _relay(start_process)
    for _ in range(2):
        wait_until(lambda: OutboxEvent.objects.filter(parked_at__isnull=False).exists())
        outbox_release(outbox_id=parked.id, by="somebody")
    wait_until(lambda: OutboxEvent.objects.filter(parked_at__isnull=False).exists())
    reported = [decode(topology.EVENTS_EXCHANGE, "probe.error", body) for body in _bodies(probed.broker)]
    alarms = [event for event in reported if isinstance(event, ServiceErrorEvent)]
    assert {alarm.id for alarm in alarms} == {alarms[0].id}
    assert (
        str(parked.event_id) not in alarms[0].reason and "press “Try again” for the event in Outbox" in alarms[0].reason
    )
    assert "bytes" in alarms[0].reason


def test_an_event_that_the_broker_returns_is_unpublishable(probed: Probe, start_process: StartProcess):
    """An exchange without an alternate, and no queue bound to it."""
    with probed.broker.channel() as channel:
        channel.exchange_declare("deaf_exchange", "topic", durable=True, auto_delete=False)
    with transaction.atomic():
        outbox.enqueue(_row("deaf_exchange"))
    _relay(start_process)
    wait_until(lambda: OutboxEvent.objects.filter(parked_at__isnull=False).exists())
    assert "no queue" in OutboxEvent.objects.get(exchange="deaf_exchange").parked_reason


def test_an_event_that_the_broker_nacks_is_unpublishable_in_the_end_and_delays_no_other(
    probed: Probe, start_process: StartProcess
):
    with probed.broker.channel() as channel:
        full = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
        channel.queue_declare("full_queue", durable=True, auto_delete=False, arguments=full)
        channel.exchange_declare("full_exchange", "fanout", durable=True, auto_delete=False)
        channel.queue_bind("full_queue", "full_exchange")
        # A quorum queue takes a few more than its limit: what is on its way when it fills up.
        for _ in range(5):
            channel.basic_publish(amqp.Message(b"{}"), exchange="full_exchange")
    wait_until(lambda: probed.broker.ready("full_queue") > 0)
    with transaction.atomic():
        outbox.enqueue(_row("full_exchange"))
    _publish(behind := ProbeHappened())
    _relay(start_process)
    _publish(later := ProbeHappened())
    wait_until(lambda: _published() >= {behind.id, later.id})
    wait_until(lambda: OutboxEvent.objects.filter(parked_at__isnull=False).exists())
    parked = OutboxEvent.objects.get(exchange="full_exchange")
    assert "nack" in parked.parked_reason
    published_at = OutboxEvent.objects.get(event_id=behind.id).published_at
    assert published_at and parked.parked_at and published_at < parked.parked_at


def test_a_row_that_commits_after_rows_with_higher_ids_goes_out(probed: Probe, start_process: StartProcess):
    _relay(start_process)
    late = ProbeHappened()
    with psycopg.connect(database_url()) as other:
        row = _row(PROBE_EXCHANGE, late)
        other.execute(
            "INSERT INTO messaging_outboxevent (event_id, service, exchange, routing_key, body, headers, parked_reason)"
            " VALUES (%s, %s, %s, %s, %s, '{}', '')",
            [row.event_id, row.service, row.exchange, row.routing_key, row.body],
        )
        _publish(*(ProbeHappened() for _ in range(1200)))
        wait_until(_all_published)
    wait_until(lambda: late.id in _published())


def test_an_alarm_of_the_broker_makes_the_relay_wait_and_report_it(probed: Probe, start_process: StartProcess):
    with BlockingProxy(probed.broker.url) as proxy:
        relay = _relay(start_process, RABBITMQ_URL=proxy.url)
        proxy.block()
        # More than the sockets between them hold: the relay is in the middle of a write when it learns of it.
        _publish(*(ProbeHappened(text="x" * 100_000) for _ in range(200)))
        relay.wait_for_log("it takes no messages now: low on memory")
        assert probed.broker.ready(PROBE_QUEUE) == 0
        proxy.unblock()
        wait_until(_all_published)
        assert probed.broker.ready(PROBE_QUEUE) == 200
        assert relay.stop() == 0


def _last_sign_of_life() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(state_change) FROM pg_stat_activity"
            " WHERE application_name = 'coolthing-relay' AND datname = current_database()"
        )
        at: datetime = cursor.fetchone()[0]
        return at


def _lives_since(before: datetime) -> bool:
    return _last_sign_of_life() > before


def test_a_relay_shows_that_it_lives_while_the_broker_takes_nothing(probed: Probe, start_process: StartProcess):
    with BlockingProxy(probed.broker.url) as proxy:
        relay = _relay(start_process, RABBITMQ_URL=proxy.url)
        proxy.block()
        _publish(ProbeHappened())
        relay.wait_for_log("it takes no messages now: low on memory")
        for _ in range(2):
            before = _last_sign_of_life()
            wait_until(partial(_lives_since, before), what="a sign of life")
        proxy.unblock()


def test_an_exchange_of_ours_that_is_missing_makes_the_relay_wait_not_park(probed: Probe, start_process: StartProcess):
    with probed.broker.channel() as channel:
        channel.exchange_delete(topology.LEADS_EXCHANGE)
    with transaction.atomic():
        outbox.enqueue(_row(topology.LEADS_EXCHANGE))
    relay = _relay(start_process, line="run manage.py setup_broker")
    declare.declare(url=probed.broker.url)
    wait_until(_all_published)
    assert relay.is_running()


def _published() -> set[uuid.UUID]:
    return set(OutboxEvent.objects.filter(published_at__isnull=False).values_list("event_id", flat=True))


def _bodies(broker: Broker) -> list[bytes]:
    """Of the messages that the notifier would get."""
    first = wait_until(lambda: broker.get(topology.NOTIFIER_QUEUE), what="an alarm")
    found = [first]
    while message := broker.get(topology.NOTIFIER_QUEUE):
        found.append(message)
    return [message.body.encode() for message in found]


def _row(exchange: str, event: ProbeHappened | None = None) -> OutboxEvent:
    event = event or ProbeHappened()
    return OutboxEvent(
        event_id=event.id, service="probe", exchange=exchange, routing_key=probe.KEY, body=event.to_json()
    )


def _end_relay_sessions() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'coolthing-relay'"
        )
