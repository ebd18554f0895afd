"""QueueControl rows decide what workers consume."""

import pytest

from messaging.models import QueueControl
from tests.broker.conftest import Probe
from tests.broker.probe import KEY, PROBE_EXCHANGE, PROBE_QUEUE, ProbeHappened
from tests.private import database_url
from tests.support import wait_until
from tests.tcp_proxy import TcpProxy


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_paused_queue_is_not_consumed_until_it_is_resumed(probed: Probe, pool: str):
    probed.start_worker(f"--pool={pool}")
    QueueControl.objects.create(queue=PROBE_QUEUE, paused=True)
    wait_until(lambda: probed.broker.consumers(PROBE_QUEUE) == 0)
    event = ProbeHappened()
    probed.broker.publish(PROBE_EXCHANGE, KEY, event.to_json().encode())
    assert probed.broker.ready(PROBE_QUEUE) == 1
    QueueControl.objects.update(paused=False)
    wait_until(lambda: probed.effects(event.id) == 1)


def test_a_worker_that_starts_finds_its_queue_paused(probed: Probe):
    QueueControl.objects.create(queue=PROBE_QUEUE, paused=True)
    event = ProbeHappened()
    probed.broker.publish(PROBE_EXCHANGE, KEY, event.to_json().encode())
    worker = probed.start_worker()
    worker.wait_for_log("probe_queue is paused")
    assert probed.broker.consumers(PROBE_QUEUE) == 0
    assert probed.broker.ready(PROBE_QUEUE) == 1
    assert probed.effects(event.id) == 0


def test_what_a_worker_has_prefetched_still_finishes_after_a_pause(probed: Probe):
    worker = probed.start_worker("--concurrency=1")
    events = [ProbeHappened(text="hold"), ProbeHappened(), ProbeHappened()]
    with probed.locked():
        for event in events:
            probed.broker.publish(PROBE_EXCHANGE, KEY, event.to_json().encode())
        wait_until(lambda: probed.waiting() == 1)
        wait_until(lambda: probed.broker.ready(PROBE_QUEUE) == 0, what="prefetched messages")
        QueueControl.objects.create(queue=PROBE_QUEUE, paused=True)
        # The broker counts a cancelled consumer until it has settled what it holds.
        worker.wait_for_log("probe_queue is paused")
        later = ProbeHappened()
        probed.broker.publish(PROBE_EXCHANGE, KEY, later.to_json().encode())
    wait_until(lambda: all(probed.effects(event.id) == 1 for event in events), what="the prefetched ones' effects")
    assert worker.stop() == 0
    assert probed.broker.ready(PROBE_QUEUE) == 1
    assert probed.effects(later.id) == 0


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_while_the_database_is_away_a_worker_leaves_messages_in_their_queue(probed: Probe, pool: str):
    url = database_url()
    with TcpProxy.before(url) as network:
        away = {"DATABASE_URL": network.url(url), "DATABASE_DIRECT_URL": network.url(url)}
        worker = probed.start_worker(f"--pool={pool}", **away)
        network.cut()
        wait_until(lambda: probed.broker.consumers(PROBE_QUEUE) == 0, what="a worker that takes nothing")
        events = [ProbeHappened(), ProbeHappened()]
        for event in events:
            probed.broker.publish(PROBE_EXCHANGE, KEY, event.to_json().encode())
        assert probed.broker.ready(PROBE_QUEUE) == 2
        network.restore()
        wait_until(lambda: all(probed.effects(event.id) == 1 for event in events), what="the effects")
        assert worker.stop() == 0
    assert probed.broker.ready(PROBE_QUEUE) == 0
