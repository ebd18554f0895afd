"""`manage.py setup_broker` against a real broker: in this process, and as a process where its end is in question."""

import io
import os
import shlex
import subprocess
import sys

import pytest
from django.core.management import call_command
from django.test import override_settings

from messaging.broker import policies, topology
from messaging.broker.topology import ALTERNATE_POLICY, PolicySpec
from tests.broker.conftest import StartProcess
from tests.private import Broker
from tests.support import ROOT


def _run(*options: str, **settings: str) -> tuple[int, str]:
    """The command's exit code and what it printed."""
    output, code = io.StringIO(), 0
    with override_settings(**settings):
        try:
            call_command("setup_broker", *options, stdout=output, stderr=output)
        except SystemExit as end:
            assert isinstance(end.code, int)
            code = end.code
    return code, output.getvalue()


def test_declaring_twice_changes_nothing_and_the_check_agrees(broker: Broker):
    assert _run()[0] == 0
    code, output = _run("--check")
    assert (code, output.strip()) == (0, "the broker matches the topology")


def test_the_check_names_each_difference(broker: Broker):
    with broker.channel() as channel:
        channel.queue_unbind(topology.LEADS_QUEUE, topology.LEADS_EXCHANGE, "lead.*")
        channel.queue_bind(topology.NOTIFIER_QUEUE, topology.SCRIPTS_EXCHANGE, "#")
        channel.exchange_delete(topology.EVENTS_DLX)
        channel.queue_delete(topology.LLM_QUEUE)
        channel.queue_delete(topology.SCRIPTS_DLQ)
        arguments = {"x-queue-type": "quorum", "x-message-ttl": 5, "x-delivery-limit": 20}
        channel.queue_declare(topology.SCRIPTS_DLQ, durable=True, auto_delete=False, arguments=arguments)
    policies.policy_delete(ALTERNATE_POLICY, broker.api)
    try:
        code, output = _run("--check")
        assert code == 1
        assert "queue leads_queue is not bound to leads_exchange by 'lead.*'" in output
        assert "queue notifier_queue is bound to scripts_exchange by '#'" in output
        assert "exchange events_dlx is missing" in output
        assert "queue llm_queue is missing" in output
        assert "queue scripts_dlq has x-message-ttl=5, not 86400000" in output
        assert "policy coolthing-alternate-exchange is missing" in output
        code, output = _run()
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


OTHER = PolicySpec("other", (topology.EVENTS_EXCHANGE,), {"alternate-exchange": "elsewhere"}, priority=50)
CHANGED = PolicySpec(ALTERNATE_POLICY.name, (topology.EVENTS_EXCHANGE,), ALTERNATE_POLICY.definition, priority=1)


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        (OTHER, "exchange events_exchange follows the policy other, not coolthing-alternate-exchange"),
        (CHANGED, "policy coolthing-alternate-exchange has priority=1, not 10"),
        (CHANGED, "exchange leads_exchange follows no policy"),
    ],
    ids=["overridden", "different", "elsewhere"],
)
def test_the_check_knows_the_policy(broker: Broker, policy: PolicySpec, found: str):
    policies.policy_set(policy, broker.api)
    try:
        assert found in "\n".join(policies.differences(topology.TOPOLOGY, broker.api, broker.api.in_vhost("exchanges")))
    finally:
        policies.policy_delete(policy, broker.api)


def test_who_may_not_set_policies_declares_the_rest_and_names_what_an_administrator_runs(
    broker: Broker, modest_url: str
):
    code, output = _run(RABBITMQ_MANAGEMENT_URL=modest_url)
    # It is set already, which this user sees.
    assert (code, "policy" in output) == (0, False)
    policies.policy_delete(ALTERNATE_POLICY, broker.api)
    code, output = _run(RABBITMQ_MANAGEMENT_URL=modest_url)
    assert code == 0
    assert "declared" in output
    arguments = shlex.split(next(line for line in output.splitlines() if "rabbitmqctl" in line))
    assert arguments == [
        "rabbitmqctl", "set_policy", "-p", broker.api.vhost, "--priority", "10", "--apply-to", "exchanges",
        "coolthing-alternate-exchange", r"^(scripts_exchange|leads_exchange|events_exchange|tasks)$",
        '{"alternate-exchange": "unroutable_exchange"}',
    ]  # fmt: skip


def test_a_migration_reports_a_correct_broker_only_when_the_policy_applies(broker: Broker, modest_url: str):
    nothing = "replaced: 0 exchanges, 0 queues"
    policies.policy_delete(ALTERNATE_POLICY, broker.api)
    code, output = _run("--migrate", RABBITMQ_MANAGEMENT_URL=modest_url)
    assert (code, output.splitlines()[-1]) == (0, nothing)
    assert "may not set policies" in output
    policies.policy_set(OTHER, broker.api)
    try:
        code, output = _run("--migrate")
        assert (code, output.splitlines()[-1]) == (0, nothing)
        assert "exchange events_exchange follows the policy other" in output
    finally:
        policies.policy_delete(OTHER, broker.api)
    assert _run("--migrate") == (0, f"{nothing}; the broker matches the topology\n")


def test_without_the_management_api_everything_else_is_declared(broker: Broker):
    with broker.channel() as channel:
        channel.queue_delete(topology.LLM_QUEUE)
    code, output = _run(RABBITMQ_MANAGEMENT_URL="")
    assert code == 0
    assert "RABBITMQ_MANAGEMENT_URL is not set" in output
    assert f"rabbitmqctl set_policy -p '{broker.api.vhost}'" in output
    assert broker.ready(topology.LLM_QUEUE) == 0


def test_a_reader_of_the_output_that_has_gone_is_not_taken_for_the_broker(broker: Broker):
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "manage.py", "setup_broker", "--check"],
        cwd=ROOT,
        env={**os.environ, **broker.env, "PYTHONUNBUFFERED": "1"},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")
