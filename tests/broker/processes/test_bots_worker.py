"""A real bots worker process and its end: stopped, killed, frozen."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bots.models import Bot, Cursor, Host
from bots.worker.supervision import mark_abandoned
from messaging.models import OutboxEvent
from parser.models import WatchedChat
from tests.broker.conftest import StartProcess
from tests.broker.processes.bots_watch import Watch, watching
from tests.private import Broker
from tests.support import wait_until


@pytest.fixture
def watch(broker: Broker, start_process: StartProcess, settings: Any, tmp_path: Path) -> Iterator[Watch]:
    with watching(start_process, settings, tmp_path, ttl=6) as found:
        yield found


def test_a_worker_runs_its_bots_and_lets_them_go_when_it_is_stopped(watch: Watch):
    worker = watch.start_worker()
    watch.supervise_until_online()
    assert OutboxEvent.objects.filter(routing_key="bots.started").exists()
    watch.say("any plumber here?")
    watch.until_hits("any plumber here?")
    assert worker.stop() == 0
    bot = Bot.objects.get(pk=watch.bot.pk)
    assert (bot.state, bot.lease_owner, bot.lease_expires_at) == ("offline", "", None)
    assert not Host.objects.exists()
    assert watch.connections() == 0


def test_the_bots_of_a_killed_worker_go_on_elsewhere_and_lose_nothing(watch: Watch):
    """A restricted account reads on in its chat too; no chat moves to another account."""
    quiet = watch.restricted_account()
    first = watch.start_worker()
    watch.supervise_until_online()
    wait_until(lambda: Cursor.objects.filter(bot=quiet).exists(), what="the restricted account reads its chat")
    watch.say("plumber one")
    watch.until_hits("plumber one")
    first.kill()
    watch.say("plumber two")
    watch.start_worker()
    wait_until(lambda: mark_abandoned(), what="the lease to run out")
    watch.supervise_until_online()
    watch.say("plumber three")
    watch.until_hits("plumber one", "plumber two", "plumber three")
    watch.until_hits(*(f"yard, {text}" for text in ("plumber one", "plumber two", "plumber three")), of=quiet)
    assert dict(WatchedChat.objects.values_list("chat__key", "bot__key")) == {"square": "ears", "yard": "quiet"}


def test_a_frozen_owner_is_cut_off_before_its_lease_ends_and_stays_out_when_it_thaws(watch: Watch):
    first = watch.start_worker()
    watch.supervise_until_online()
    frozen_owner = watch.owner()
    first.signal(signal.SIGSTOP)
    wait_until(lambda: watch.connections() == 0, what="the server to drop the silent connection")
    assert watch.owner() == frozen_owner
    watch.start_worker()
    wait_until(lambda: mark_abandoned(), what="the lease to run out")
    Host.objects.filter(name=frozen_owner).delete()
    watch.supervise_until_online()
    first.signal(signal.SIGCONT)
    first.wait_for_log("its lease is lost, it was released")
    watch.say("plumber, once")
    watch.until_hits("plumber, once")
    watch.until_connected()
    assert watch.owner() != frozen_owner
    assert not OutboxEvent.objects.filter(body__contains="AUTH_KEY_DUPLICATED").exists()
