"""`manage.py setup_broker` against a real broker."""

from messaging import topology
from tests.broker.conftest import StartProcess
from tests.private import Broker


def _run(start_process: StartProcess, *options: str) -> tuple[int, str]:
    process = start_process("manage.py", "setup_broker", *options)
    return process.wait(), process.log()


def test_declaring_twice_changes_nothing_and_the_check_agrees(broker: Broker, start_process: StartProcess):
    assert _run(start_process)[0] == 0
    code, output = _run(start_process, "--check")
    assert (code, output.strip()) == (0, "the broker is as the topology says")


def test_the_check_names_each_difference(broker: Broker, start_process: StartProcess):
    with broker.channel() as channel:
        channel.queue_unbind(topology.LEADS_QUEUE, topology.LEADS_EXCHANGE, "lead.*")
        channel.queue_bind(topology.NOTIFIER_QUEUE, topology.SCRIPTS_EXCHANGE, "#")
        channel.exchange_delete(topology.EVENTS_DLX)
        channel.queue_delete(topology.LLM_QUEUE)
        channel.queue_delete(topology.SCRIPTS_DLQ)
        arguments = {"x-queue-type": "quorum", "x-message-ttl": 5, "x-delivery-limit": 20}
        channel.queue_declare(topology.SCRIPTS_DLQ, durable=True, auto_delete=False, arguments=arguments)
    try:
        code, output = _run(start_process, "--check")
        assert code == 1
        assert "queue leads_queue is not bound to leads_exchange by 'lead.*'" in output
        assert "queue notifier_queue is bound to scripts_exchange by '#'" in output
        assert "exchange events_dlx is missing" in output
        assert "queue llm_queue is missing" in output
        assert "queue scripts_dlq has x-message-ttl=5, not 86400000" in output
        code, output = _run(start_process)
        assert code == 1
        assert "queue scripts_dlq" in output
        assert "inequivalent arg 'x-message-ttl'" in output
    finally:
        with broker.channel() as channel:
            channel.queue_delete(topology.SCRIPTS_DLQ)
            channel.queue_unbind(topology.NOTIFIER_QUEUE, topology.SCRIPTS_EXCHANGE, "#")


def test_a_broker_that_is_away_is_named_in_one_line(broker: Broker, start_process: StartProcess):
    process = start_process("manage.py", "setup_broker", RABBITMQ_URL="pyamqp://a:b@127.0.0.1:1/x")
    assert process.wait() == 2
    assert process.log().startswith("the broker cannot be reached")
    assert len(process.log().splitlines()) == 1
