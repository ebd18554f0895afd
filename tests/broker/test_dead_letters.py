"""Letters of expired, unroutable and rejected messages on a real broker; replays of many with a kill in the middle."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from django.db import connection
from kombu import Connection

from coolthing_site import celery_app
from messaging.broker import declare, topology
from messaging.dead_letters.replays import progress, replay_start
from messaging.dead_letters.services import dead_letter_edit, dead_letter_replay
from messaging.models import DeadLetter, DeadLetterEntry, OutboxEvent, ProcessedEvent, ReplayBatch
from messaging.observability.trace import trace
from panelkit.rights import Shell
from tests.broker.conftest import Probe, StartProcess
from tests.broker.probe import KEY, PROBE_EXCHANGE, PROBE_QUEUE, ProbeHappened
from tests.support import Process, wait_until

MANY = 60
# At this rate no three slices make half of MANY, however late they come: see messaging.dead_letters.replays.
FEW_PER_SECOND = 3
SHORT_DLQ = "short_dlq"


def _letter(event: ProbeHappened, **having: object) -> DeadLetter:
    return wait_until(lambda: DeadLetter.objects.filter(event_id=event.id, **having).first(), what="the letter")


def _die(probed: Probe, event: ProbeHappened, exchange: str = PROBE_EXCHANGE, key: str = KEY) -> DeadLetter:
    probed.broker.publish(exchange, key, event.to_json().encode())
    return _letter(event)


def test_a_replay_of_an_edited_dead_letter_is_handled_even_if_it_was_published_directly_to_its_queue(
    probed: Probe, start_process: StartProcess
):
    probed.start_with_archiver()
    start_process("manage.py", "relay_events")
    event = ProbeHappened(text="fail")
    letter = _die(probed, event, "", PROBE_QUEUE)
    assert (letter.exchange, letter.routing_key, letter.error_class) == ("", PROBE_QUEUE, "ValueError")
    dead_letter_edit(
        letter_id=letter.pk, body=event.model_copy(update={"text": "mended"}).to_json(), by="ann", holder=Shell()
    )
    dead_letter_replay(letter_id=letter.pk, by="ann")
    wait_until(lambda: probed.effects(event.id) == 1)
    steps = [step.what for step in trace(event.id).steps]
    assert steps.index("dead-lettered") < steps.index("replayed") < steps.index("handled")
    assert ProcessedEvent.objects.get(event_id=event.id).seconds is not None


def test_an_edit_that_does_not_help_comes_back_as_the_same_dead_letter(probed: Probe, start_process: StartProcess):
    probed.start_with_archiver()
    start_process("manage.py", "relay_events")
    event = ProbeHappened(text="fail")
    letter = _die(probed, event)
    dead_letter_edit(letter_id=letter.pk, body=f'{{"id": "{event.id}", "text": ["a list"]}}', by="ann", holder=Shell())
    dead_letter_replay(letter_id=letter.pk, by="ann")
    again = _letter(event, count=2, state="open")
    assert again.pk == letter.pk
    assert again.error.startswith("UndecodableMessage: not a ProbeHappened: text")
    assert DeadLetter.objects.count() == 1
    assert DeadLetterEntry.objects.filter(letter=letter, what="died_again").count() == 1


def test_an_expired_message_is_archived_with_its_own_reason_and_can_be_replayed(
    probed: Probe, start_process: StartProcess
):
    probed.start_archiver()
    event = ProbeHappened()
    probed.broker.publish(PROBE_EXCHANGE, KEY, event.to_json().encode(), expiration="50")
    letter = _letter(event)
    assert (letter.queue, letter.reason, letter.error) == (PROBE_QUEUE, "expired", "")
    probed.start_worker()
    start_process("manage.py", "relay_events")
    dead_letter_replay(letter_id=letter.pk, by="ann")
    wait_until(lambda: probed.effects(event.id) == 1)


def test_the_copy_in_the_brokers_queue_expires_without_another_dead_letter(probed: Probe):
    """A DLQ of the same make as ours, but for its TTL: what expires there is gone, and nobody hears of it."""
    ours = topology.TOPOLOGY.queue(topology.LEADS_DLQ)
    short = topology.QueueSpec(SHORT_DLQ, ((topology.EVENTS_DLX, f"{PROBE_QUEUE}.failed"),), message_ttl_ms=300)
    assert short.arguments | {"x-message-ttl": ours.message_ttl_ms} == ours.arguments
    declare.declare(topology.Topology((), (short,)), url=probed.broker.url)
    probed.start_worker()
    events = [ProbeHappened(text="fail"), ProbeHappened(text="fail")]
    with _onlooker(probed) as seen:
        probed.broker.publish(PROBE_EXCHANGE, KEY, events[0].to_json().encode())
        wait_until(seen, what="the onlookers' copy")
    wait_until(lambda: probed.broker.ready(SHORT_DLQ) == 0, what="its end")
    probed.start_archiver()
    _letter(events[0])
    # Whatever the expiry might have sent stands in the archive's queue before the second event's letter.
    _die(probed, events[1])
    assert sorted(DeadLetter.objects.values_list("count", "reason")) == [(1, "rejected"), (1, "rejected")]
    assert probed.broker.ready(topology.DEAD_LETTER_ARCHIVE_QUEUE) == 0
    assert probed.broker.ready(topology.UNROUTABLE_QUEUE) == 0
    with probed.broker.channel() as channel:
        channel.queue_delete(SHORT_DLQ)


@contextmanager
def _onlooker(probed: Probe) -> Iterator[Callable[[], bool]]:
    """Whether a copy has come to the short DLQ. The copy stays unacknowledged to the end, so it cannot expire unseen.

    Given back, it is as old as it is, and expires then.
    """
    received: list[object] = []

    def seen() -> bool:
        with suppress(TimeoutError):
            onlooker.drain_events(timeout=0.1)
        return bool(received)

    with Connection(probed.broker.url) as onlooker:
        onlooker.default_channel.basic_consume(SHORT_DLQ, callback=received.append)
        yield seen


def test_an_unroutable_message_is_replayed_to_the_queues_that_are_bound_by_now(
    probed: Probe, start_process: StartProcess
):
    probed.start_with_archiver()
    start_process("manage.py", "relay_events")
    event = ProbeHappened()
    with probed.broker.channel() as channel:
        channel.queue_unbind(PROBE_QUEUE, PROBE_EXCHANGE, "probe.*")
    letter = _die(probed, event)
    assert (letter.queue, letter.reason, letter.routing_key) == ("", "unroutable", KEY)
    dead_letter_replay(letter_id=letter.pk, by="ann")
    assert _letter(event, count=2, state="open").pk == letter.pk
    with probed.broker.channel() as channel:
        channel.queue_bind(PROBE_QUEUE, PROBE_EXCHANGE, "probe.*")
    dead_letter_replay(letter_id=letter.pk, by="ann")
    wait_until(lambda: probed.effects(event.id) == 1)


def _maintenance(start_process: StartProcess, name: str) -> Process:
    worker = start_process(
        "celery", "-A", "tests.broker.probe", "worker", "-Q", topology.MAINTENANCE_QUEUE, "-n", f"{name}@test",
        "--concurrency=1", "-l", "INFO",
    )  # fmt: skip
    worker.wait_for_log("ready.")
    return worker


def _beat() -> None:
    """As beat does every two seconds."""
    celery_app.send_task("messaging.tasks_replay.advance_replays", expires=2)


def test_many_are_replayed_once_each_though_workers_and_the_relay_are_killed(
    probed: Probe, start_process: StartProcess
):
    probed.start_archiver()
    failing = probed.start_worker(name="failing")
    events = [ProbeHappened(text="fail") for _ in range(MANY)]
    for event in events:
        probed.broker.publish(PROBE_EXCHANGE, KEY, event.to_json().encode())
    wait_until(lambda: DeadLetter.objects.count() == MANY, what="all letters")
    assert failing.stop() == 0
    _mend()
    batch = replay_start(letters=DeadLetter.objects.all(), by="ann", what="all", per_second=FEW_PER_SECOND)
    relay, worker = start_process("manage.py", "relay_events"), _maintenance(start_process, "first")

    def advanced(count: int) -> bool:
        if progress(batch)["waiting"] <= MANY - count:
            return True
        if not probed.broker.ready(topology.MAINTENANCE_QUEUE):
            _beat()
        return False

    wait_until(lambda: advanced(6), what="some replays")
    worker.kill()
    relay.kill()
    assert progress(batch)["waiting"] > 0, "it is killed in the middle"
    ReplayBatch.objects.update(per_second=MANY)
    probed.start_worker()
    start_process("manage.py", "relay_events")
    _maintenance(start_process, "second")
    wait_until(lambda: advanced(MANY), what="all replays")
    wait_until(lambda: progress(batch)["handled"] == MANY, what="all events handled")
    assert {probed.effects(event.id) for event in events} == {1}
    # Beside the events that report the letters.
    assert OutboxEvent.objects.filter(headers__has_key=topology.REPLAY_HEADER).count() == MANY
    wait_until(lambda: _ends(probed), what="the end of the batch")


def _ends(probed: Probe) -> bool:
    """Beat ticks until the batch is done: one tick may find that nothing is due yet, or expire in the queue."""
    if ReplayBatch.objects.get().state == "done":
        return True
    if not probed.broker.ready(topology.MAINTENANCE_QUEUE):
        _beat()
    return False


def _mend() -> None:
    """The cause is gone: the same events are handled from now on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_deadletter SET body = replace(body, 'fail', 'mended'),"
            " body_digest = encode(sha256(convert_to(replace(body, 'fail', 'mended'), 'UTF8')), 'hex')"
        )
