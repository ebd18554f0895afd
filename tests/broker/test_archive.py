"""Dead letters: kept, replayed to the queue where they died, discarded."""

import uuid

from django.db import connection

from messaging.broker import topology
from messaging.dead_letters.services import dead_letter_replay
from messaging.models import DeadLetter
from tests.broker.conftest import Probe, StartProcess
from tests.broker.probe import KEY, PROBE_DLQ, PROBE_EXCHANGE, ProbeHappened
from tests.support import wait_until


def _die(probed: Probe, event: ProbeHappened) -> DeadLetter:
    """Let a worker refuse the event, and the archiver keep it."""
    probed.broker.publish(PROBE_EXCHANGE, KEY, event.to_json().encode())
    return wait_until(lambda: DeadLetter.objects.filter(event_id=event.id).first(), what="the letter")


def _mend(event: ProbeHappened) -> None:
    """An event whose handler fails is handled from now on: its text is not the one that fails."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_deadletter SET body = replace(body, 'fail', 'mended'),"
            " body_digest = encode(sha256(convert_to(replace(body, 'fail', 'mended'), 'UTF8')), 'hex')"
            " WHERE event_id = %s",
            [event.id],
        )


def test_a_message_that_no_binding_wants_is_archived(probed: Probe):
    probed.start_archiver()
    probed.broker.publish(topology.SCRIPTS_EXCHANGE, "admin.script_renamed", b'{"script": 1}')
    letter = wait_until(lambda: DeadLetter.objects.first())
    assert (letter.queue, letter.reason) == ("", "unroutable")
    assert (letter.exchange, letter.routing_key) == (topology.SCRIPTS_EXCHANGE, "admin.script_renamed")
    assert letter.body == '{"script": 1}'


def test_the_same_words_as_two_events_keep_each_their_own_error(probed: Probe):
    probed.start_with_archiver()
    for key in ("probe.one", "probe.two"):
        probed.broker.publish(PROBE_EXCHANGE, key, b'{"foo": 1}')
    wait_until(lambda: DeadLetter.objects.count() == 2, what="both letters")
    for letter in DeadLetter.objects.all():
        assert repr(letter.routing_key) in letter.error


def test_a_dead_letter_with_a_header_that_grows_when_it_is_written_out_can_be_replayed(
    probed: Probe, start_process: StartProcess
):
    probed.start_with_archiver()
    event = ProbeHappened(text="fail")
    headers = {"x-" + "\0" * 100: "odd", "nested": {"x-" + "\0" * 100: "odd"}}
    probed.broker.publish(PROBE_EXCHANGE, KEY, event.to_json().encode(), application_headers=headers)
    letter = wait_until(lambda: DeadLetter.objects.filter(event_id=event.id).first(), what="the letter")
    _mend(event)
    start_process("manage.py", "relay_events")
    dead_letter_replay(letter_id=letter.pk, by="operator")
    wait_until(lambda: probed.effects(event.id) == 1)


def test_a_replay_reaches_only_the_queue_where_it_died(probed: Probe, start_process: StartProcess):
    probed.start_with_archiver()
    event = ProbeHappened(text="fail")
    letter = _die(probed, event)
    with probed.broker.channel() as channel:
        channel.queue_declare("bystander_queue", durable=True, auto_delete=False)
        channel.queue_bind("bystander_queue", PROBE_EXCHANGE, "#")
    _mend(event)
    start_process("manage.py", "relay_events")
    dead_letter_replay(letter_id=letter.pk, by="operator")
    wait_until(lambda: probed.effects(event.id) == 1)
    assert probed.broker.ready("bystander_queue") == 0
    letter.refresh_from_db()
    assert (letter.state, letter.decided_by) == (DeadLetter.State.REPLAYED, "operator")


def test_a_replay_that_fails_again_opens_the_dead_letter_again_and_counts(probed: Probe, start_process: StartProcess):
    probed.start_with_archiver()
    start_process("manage.py", "relay_events")
    event = ProbeHappened(text="fail")
    letter = _die(probed, event)
    dead_letter_replay(letter_id=letter.pk, by="operator")
    wait_until(lambda: DeadLetter.objects.filter(event_id=event.id, count=2, state=DeadLetter.State.OPEN).exists())
    again = DeadLetter.objects.get()
    assert (again.exchange, again.routing_key) == (PROBE_EXCHANGE, KEY)
    assert again.error == "ValueError: this event always fails"


def test_a_replayed_foreign_event_without_an_id_keeps_the_id_it_was_given(probed: Probe, start_process: StartProcess):
    probed.start_with_archiver()
    start_process("manage.py", "relay_events")
    probed.broker.publish(PROBE_EXCHANGE, KEY, b'{"text": "fail"}', message_id="order 66")
    letter = wait_until(lambda: DeadLetter.objects.first())
    dead_letter_replay(letter_id=letter.pk, by="operator")
    wait_until(lambda: DeadLetter.objects.filter(pk=letter.pk, count=2).exists())
    assert DeadLetter.objects.count() == 1


def test_a_dead_celery_task_is_archived_and_not_run(probed: Probe):
    event = ProbeHappened()
    headers = {"task": "tests.probe.record", "id": str(uuid.uuid4())}
    probed.broker.publish(topology.EVENTS_DLX, "probe.failed", event.to_json().encode(), application_headers=headers)
    probed.start_archiver()
    letter = wait_until(lambda: DeadLetter.objects.first())
    assert letter.headers["task"] == "tests.probe.record"
    assert probed.effects(event.id) == 0


def test_a_dead_copy_that_is_delivered_twice_counts_once(probed: Probe):
    probed.start_worker()
    event = ProbeHappened(text="fail")
    probed.broker.publish(PROBE_EXCHANGE, KEY, event.to_json().encode())
    probed.settle(probed.start_archiver(), topology.DEAD_LETTER_ARCHIVE_QUEUE, handled=1)
    # As after an archiver that died between its commit and its ack: the same copy with the same headers.
    wait_until(lambda: probed.broker.ready(PROBE_DLQ) == 1, what="the onlookers' copy")
    headers = probed.broker.take(PROBE_DLQ).properties["application_headers"]
    probed.broker.publish(topology.EVENTS_DLX, "probe.failed", event.to_json().encode(), application_headers=headers)
    probed.settle(probed.start_archiver(), topology.DEAD_LETTER_ARCHIVE_QUEUE, handled=1)
    assert DeadLetter.objects.get().count == 1
