"""Whole flows over a real broker and real processes: foreign publishers, and workers that die in the middle."""

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from django.core.management import call_command

from bots.logins.one_shot import bot_connect_with_code
from bots.models import Bot, BotSession
from coolthing_site.demo.comparison import compare, sent_by
from coolthing_site.demo.observe import our_ledger
from coolthing_site.processes.procfile import procfile, sandbox_environment
from leads.models import Lead
from messaging.broker import topology
from messaging.models import DeadLetter, HandlingFailure
from sandbox.scenario import Scenario
from sandbox.server import Sandbox, SandboxConfig
from scripts.models import Assignment, Play, Step
from scripts.services import assignment_activate
from tests.private import Broker
from tests.support import ROOT, Process, wait_until

LEASE_SECONDS = "5"


class Installation:
    """The example's campaigns on the test's database and broker, and the Procfile's processes by name."""

    def __init__(self, start_process: Callable[..., Process]) -> None:
        self._start_process = start_process
        self.env: dict[str, str] = {"LEASE_TTL_SECONDS": LEASE_SECONDS, "LEASE_RENEW_SECONDS": "1"}
        call_command("seed_campaigns", str(ROOT / "docs/examples/demo.yaml"), verbosity=0)

    @property
    def assignment(self) -> Assignment:
        return Assignment.objects.get()

    def start(self, *names: str) -> list[Process]:
        commands = procfile()
        started = [self._start_process(*_argv(commands[name]), **self.env) for name in names]
        for process in started:
            if process.argv[0] == "celery" and "worker" in process.argv:
                process.wait_for_log("ready.", timeout=90)
        return started


def _argv(command: str) -> list[str]:
    """A Procfile line as `start_process` takes it."""
    expanded = command.replace("${BOTS_PER_WORKER:-50}", "10")
    return expanded.removeprefix("python ").split()


@pytest.fixture
def installation(broker: Broker, start_process: Callable[..., Process]) -> Installation:
    return Installation(start_process)


@pytest.fixture
def riverside(
    installation: Installation, tmp_path: Path, settings: pytest.FixtureRequest
) -> Iterator[tuple[Installation, Sandbox]]:
    """The installation with its bots logged in at a sandbox that holds the example's world."""
    with Sandbox(SandboxConfig(key_dir=tmp_path, scenario="demo")) as sandbox:
        env = sandbox_environment(mtproto_port=sandbox.mtproto_port, http_port=0, key_dir=tmp_path)
        env["OPENAI_BASE_URL"] = f"{sandbox.http_url}/v1"
        settings.TELEGRAM_API_ID, settings.TELEGRAM_API_HASH = 1, "sandbox"  # type: ignore[attr-defined]
        settings.TELEGRAM_SERVER = env["TELEGRAM_SERVER"]  # type: ignore[attr-defined]
        settings.TELEGRAM_SERVER_KEY = env["TELEGRAM_SERVER_KEY"]  # type: ignore[attr-defined]
        installation.env |= env
        for bot in Bot.objects.filter(role="actor"):
            bot_connect_with_code(bot_id=bot.id, ask_code=lambda: "22222")
        yield installation, sandbox


def test_bare_json_of_a_foreign_publisher_is_handled_like_our_own(installation: Installation, broker: Broker):
    # Nothing connects here, but a script is prepared only with actors that were logged in.
    for actor in Bot.objects.filter(role="actor"):
        BotSession.objects.create(bot=actor, data="session")
    installation.start("scripts", "scripts_watchdog", "leads")
    bot = Bot.objects.get(key="watcher")
    campaign = installation.assignment.campaign
    broker.publish(
        topology.SCRIPTS_EXCHANGE,
        "admin.script_created",
        json.dumps({"script_for_campaign_id": str(installation.assignment.id)}).encode(),
    )
    lead = {"worker_id": str(bot.id), "campaign_id": str(campaign.id), "chat_id": -100, "username": "pavel_here"}
    broker.publish(
        topology.LEADS_EXCHANGE, f"lead.{campaign.id}", json.dumps({**lead, "message": "ищу репетитора"}).encode()
    )
    # As other programs write, too: a byte order mark, ids as numbers, no name, a time without a zone.
    odd = {**lead, "worker_id": 5, "username": None, "telegram_user_id": 70501, "said_at": "2026-03-01T12:00:00"}
    body = "\ufeff" + json.dumps({**odd, "message": "a tutor?"})
    broker.publish(topology.LEADS_EXCHANGE, f"lead.{campaign.id}", body.encode())
    for unfit in ({"username": "a" * 65}, {"telegram_user_id": 2**63}, {"message": "\0"}, {"message": "\ud83d"}):
        body = json.dumps({**lead, "message": "a tutor?", **unfit})
        broker.publish(topology.LEADS_EXCHANGE, f"lead.{campaign.id}", body.encode())
    wait_until(lambda: Lead.objects.filter(username="pavel_here").exists(), what="the lead")
    wait_until(lambda: Lead.objects.filter(telegram_user_id=70501, worker_id="5").exists(), what="the odd lead")
    failures = HandlingFailure.objects.filter(queue=topology.LEADS_QUEUE)
    wait_until(lambda: failures.count() == 4, what="four refusals")
    assert all(failure.error.startswith("UndecodableMessage: not a NewTargetMessage: ") for failure in failures)
    wait_until(lambda: Play.objects.filter(assignment=installation.assignment).count() == 4, what="a play in each chat")
    wait_until(lambda: installation.assignment.supervised_at, what="armed supervision")
    assert not DeadLetter.objects.exists()


def test_killed_workers_lose_no_line_and_say_none_twice(riverside: tuple[Installation, Sandbox]):
    installation, sandbox = riverside
    installation.start("relay", "beat")
    scripts, actors, _ = installation.start("scripts", "actor_bots", "maintenance")
    assignment_activate(assignment_id=installation.assignment.id)

    for said in (4, 14):
        wait_until(partial(_has_said, said), 90, f"{said} lines")
        actors.kill()
        [actors] = installation.start("actor_bots")
    scripts.signal(signal.SIGKILL)
    installation.start("scripts")
    wait_until(lambda: installation.assignment.state == Assignment.State.FINISHED, 120, "the end of the play")

    entries = sandbox.call(lambda: [entry.as_json() for entry in sandbox.world.ledger])
    result = compare(our_ledger(), sent_by(set(_accounts()), entries))
    assert result.matches, result
    assert result.matched == Step.objects.count() == 40
    spoken = Counter((entry["peer"], entry["text"]) for entry in entries)
    assert set(spoken.values()) == {1}


def _has_said(lines: int) -> bool:
    return Step.objects.filter(state=Step.State.SENT).count() >= lines


def _accounts() -> list[int]:
    scenario = Scenario.load("demo")
    return [scenario.user_ids()[account.key] for account in scenario.accounts]
