"""What waits in a worker for an idle child is handed over as soon as there is one, however the one before it ended."""

from messaging.consuming.amqp_message import request_ids
from tests.broker import probe
from tests.broker.conftest import Probe
from tests.broker.probe import KEY, PROBE_DLQ, PROBE_EXCHANGE, PROBE_QUEUE, ProbeHappened
from tests.support import wait_until


def _publish(probed: Probe, *events: ProbeHappened) -> None:
    for event in events:
        probed.broker.publish(PROBE_EXCHANGE, KEY, event.to_json().encode())


def _task_id(event: ProbeHappened) -> str:
    return request_ids(PROBE_QUEUE, PROBE_EXCHANGE, KEY, event.to_json().encode(), {}, None)[1]


def test_what_waits_behind_a_terminated_event_is_handled(probed: Probe):
    probed.start_worker("--concurrency=1")
    blocked, waiting = ProbeHappened(text="hold"), ProbeHappened()
    with probed.locked():
        _publish(probed, blocked)
        wait_until(lambda: probed.waiting() == 1)
        _publish(probed, waiting)
        wait_until(lambda: probed.broker.ready(PROBE_QUEUE) == 0, what="a prefetched message")
        probe.app.control.revoke(_task_id(blocked), terminate=True, signal="SIGKILL")
        wait_until(lambda: probed.effects(waiting.id) == 1, what="the effect of the next one")


def test_what_is_revoked_while_it_waits_is_dead_lettered_and_its_neighbours_are_handled(probed: Probe):
    worker = probed.start_worker("--concurrency=1")
    blocked, revoked, neighbours = ProbeHappened(text="hold"), ProbeHappened(), [ProbeHappened(), ProbeHappened()]
    with probed.locked():
        _publish(probed, blocked)
        wait_until(lambda: probed.waiting() == 1)
        _publish(probed, neighbours[0], revoked, neighbours[1])
        wait_until(lambda: probed.broker.ready(PROBE_QUEUE) == 0, what="prefetched messages")
        probe.app.control.revoke(_task_id(revoked))
        worker.wait_for_log("flagged as revoked")
    wait_until(lambda: probed.broker.ready(PROBE_DLQ) == 1, what="the revoked one's letter")
    wait_until(lambda: all(probed.effects(event.id) == 1 for event in neighbours), what="its neighbours' effects")
    assert probed.effects(revoked.id) == 0
    assert worker.stop() == 0
    assert probed.broker.ready(PROBE_QUEUE) == 0
