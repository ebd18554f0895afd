"""Bots workers that lose the database, are drained, or are supervised twice."""

import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone

from bots.models import Bot, Host
from bots.worker.supervision import supervise
from messaging.broker import topology
from tests.broker.conftest import StartProcess
from tests.broker.processes.bots_watch import Watch, watching
from tests.private import Broker, database_url
from tests.support import Process, wait_until
from tests.tcp_proxy import TcpProxy

TTL = 6


@pytest.fixture
def watch(broker: Broker, start_process: StartProcess, settings: Any, tmp_path: Path) -> Iterator[Watch]:
    with watching(start_process, settings, tmp_path, ttl=TTL) as found:
        yield found


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    with TcpProxy.before(database_url()) as found:
        yield found


def start_behind(proxy: TcpProxy, watch: Watch) -> Process:
    url = proxy.url(database_url())
    return watch.start_worker(DATABASE_URL=url, DATABASE_DIRECT_URL=url)


def database_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


@pytest.mark.parametrize("how", ["cut", "freeze"])
def test_a_worker_without_its_database_lets_go_before_the_lease_ends_and_goes_on_when_it_is_back(
    watch: Watch, proxy: TcpProxy, how: str
):
    worker = start_behind(proxy, watch)
    watch.supervise_until_online()
    watch.say("plumber one")
    watch.until_hits("plumber one")
    getattr(proxy, how)()
    expires_at = Bot.objects.values_list("lease_expires_at", flat=True).get(pk=watch.bot.pk)
    assert expires_at is not None
    wait_until(lambda: _closed_before(watch, expires_at), what="the session to be closed")
    watch.say("plumber two")
    # Others see the lease run out; what they send to the worker meanwhile comes to nothing.
    wait_until(lambda: _offline_after(watch, expires_at), what="the bot offline, seconds after its lease")
    assert watch.connections() == 0
    proxy.restore()
    watch.supervise_until_online()
    watch.say("plumber three")
    watch.until_hits("plumber one", "plumber two", "plumber three")
    watch.until_connected()
    watch.assert_key_is_whole()
    assert worker.is_running()
    assert worker.stop() == 0


def _closed_before(watch: Watch, expires_at: datetime) -> bool:
    # In this order: however late we look, what is still open then was open when the lease had ended.
    at = database_time()
    still_open = watch.connections() > 0
    assert not still_open or at < expires_at
    return not still_open


def _offline_after(watch: Watch, expires_at: datetime) -> bool:
    supervise(timezone.now())
    return watch.state() == "offline" and (database_time() - expires_at).total_seconds() > 1


def test_a_drained_worker_hands_its_bot_to_another_and_nothing_is_missed_or_doubled(watch: Watch):
    first = watch.start_worker()
    watch.supervise_until_online()
    before = watch.owner()
    watch.say("plumber one")
    watch.until_hits("plumber one")
    watch.start_worker()
    call_command("bots", "drain", before)
    watch.say("plumber two")
    wait_until(lambda: watch.owner() != before, what="the bot to be let go")
    watch.supervise_until_online()
    assert watch.owner() not in ("", before)
    watch.say("plumber three")
    watch.until_hits("plumber one", "plumber two", "plumber three")
    watch.until_connected()
    wait_until(lambda: Host.objects.get(name=before).draining, what="the drained worker to say so")
    watch.assert_key_is_whole()
    assert first.stop() == 0


def test_a_drained_worker_takes_bots_again_when_it_may(watch: Watch):
    watch.start_worker()
    watch.supervise_until_online()
    name = watch.owner()
    call_command("bots", "drain", name)
    wait_until(lambda: watch.state() == "offline", what="the bot to be let go")
    wait_until(lambda: Host.objects.get(name=name).draining, what="the worker to say so")
    call_command("bots", "undrain", name)
    watch.supervise_until_online()
    assert watch.owner() == name
    watch.say("plumber, still here?")
    watch.until_hits("plumber, still here?")


def test_two_supervisors_and_two_workers_make_one_connection(watch: Watch, broker: Broker):
    workers = [watch.start_worker(), watch.start_worker()]
    over, seen = threading.Event(), list[int]()

    def keep_supervising() -> None:
        try:
            while not over.wait(0.05):
                supervise(timezone.now())
                seen.append(watch.connections())
        finally:
            connections.close_all()

    supervisors = [threading.Thread(target=keep_supervising) for _ in range(2)]
    for supervisor in supervisors:
        supervisor.start()
    try:
        wait_until(lambda: watch.state() == "online", what="the bot online")
        owner = watch.owner()
        next(worker for worker in workers if f"parser_bots_{1 + workers.index(worker)}@" in owner).kill()
        watch.say("plumber, between two owners")
        wait_until(lambda: watch.state() == "online" and watch.owner() != owner, what="the bot online elsewhere")
        watch.until_hits("plumber, between two owners")
        wait_until(lambda: 1 in seen, what="a supervisor that sees the connection")
    finally:
        over.set()
        for supervisor in supervisors:
            supervisor.join()
    assert max(seen) == 1
    watch.assert_key_is_whole()
    wait_until(lambda: broker.ready(topology.PARSER_BOTS_QUEUE) == 0, what="the last supervisor's hints taken")
