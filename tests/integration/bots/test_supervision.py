"""What should run against what runs, with the messages that go to the workers' queues."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.db import connections
from django.utils import timezone

from bots import roles
from bots.accounts.incidents import incident_report, incidents_shown
from bots.models import Bot, BotSession, BotStateChange, Host, Incident
from bots.worker.hosts import host_beat, host_name, no_longer_wanted
from bots.worker.leases import lease_take
from bots.worker.supervision import DISPATCH_SECONDS, free_capacity, supervise
from messaging.broker import topology
from messaging.models import OutboxEvent


class Wanting:
    """A role handler that wants what the test says."""

    reads_chats = reads_private = False

    def __init__(self) -> None:
        self.bots: set[UUID] = set()

    def wanted(self, now):
        return set(self.bots)

    def chats(self, bot_id):
        return []

    def on_messages(self, *, messages) -> None:
        raise AssertionError("nothing is read here")

    def on_changes(self, *, bot_id, changes):
        return []

    def received_since(self, *, bot_id, since, most):
        return []

    def people_unrecorded(self, *, bot_id, since, most):
        return []

    def chats_looked_after(self, *, bot_id, at_end):
        return ()

    def why_kept(self, bot_id):
        return ""


@pytest.fixture
def wanting() -> Iterator[Wanting]:
    """The only role with bots here is the actors'."""
    before = {role: roles.handler_of(role) for role in ("actor", "parser", "manager")}
    handler = Wanting()
    for role in before:
        roles.register(role, Wanting())
    roles.register("actor", handler)
    yield handler
    for role, was in before.items():
        if was is not None:
            roles.register(role, was)


def make_bots(wanting: Wanting, count: int, **values) -> list[Bot]:
    made = []
    for _ in range(count):
        bot = Bot.objects.create(key=f"bot-{Bot.objects.count()}", role="actor", phone="+1", **values)
        BotSession.objects.create(bot=bot, data="session")
        wanting.bots.add(bot.pk)
        made.append(bot)
    return made


def sent(broker) -> list[str]:
    """The bots named by the messages that wait for actor workers; taken off the queue."""
    found = []
    while (message := broker.get(topology.ACTOR_BOTS_QUEUE)) is not None:
        found.append(json.loads(message.body)[0][0])
    return found


def host(name: str = "worker", capacity: int = 3, **values) -> None:
    host_beat(name=name, role="actor", capacity=capacity, draining=False)
    if values:
        Host.objects.filter(name=name).update(**values)


def test_wanted_bots_are_sent_once_to_the_queue_of_their_role(broker, wanting):
    bots = make_bots(wanting, 2)
    host()
    assert set(supervise(timezone.now())) == {bot.pk for bot in bots}
    assert supervise(timezone.now()) == []
    assert sorted(sent(broker)) == sorted(str(bot.pk) for bot in bots)


def test_what_became_no_lease_in_time_is_sent_again(broker, wanting):
    (bot,) = make_bots(wanting, 1)
    host()
    supervise(timezone.now())
    Bot.objects.update(dispatched_at=timezone.now() - timedelta(seconds=DISPATCH_SECONDS + 1))
    assert supervise(timezone.now()) == [bot.pk]
    Bot.objects.update(dispatched_at=timezone.now() - timedelta(seconds=DISPATCH_SECONDS + 1))
    assert lease_take(bot_id=bot.pk, owner="worker") is not None
    assert supervise(timezone.now()) == []


def test_never_more_than_the_workers_have_room_for(broker, wanting):
    make_bots(wanting, 5)
    host(capacity=3)
    assert len(supervise(timezone.now())) == 3
    assert supervise(timezone.now()) == []
    for bot_id in sent(broker):
        assert lease_take(bot_id=UUID(bot_id), owner="worker") is not None
    assert free_capacity("actor") == 0
    assert supervise(timezone.now()) == []
    assert Incident.objects.filter(key="capacity:actor").exists()
    host("another", capacity=10)
    assert len(supervise(timezone.now())) == 2
    assert not Incident.objects.exists()


def test_supervisors_beside_each_other_send_each_bot_once_and_not_too_many(broker, wanting):
    bots = make_bots(wanting, 12)
    host(capacity=8)
    start = threading.Barrier(4)

    def round_after_round(_: int) -> list[UUID]:
        try:
            start.wait(60)
            return [bot_id for _ in range(3) for bot_id in supervise(timezone.now())]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        dispatched = [bot_id for round in pool.map(round_after_round, range(4)) for bot_id in round]
    assert len(dispatched) == len(set(dispatched)) == 8
    assert sorted(sent(broker)) == sorted(map(str, dispatched))
    assert set(dispatched) <= {bot.pk for bot in bots}


@pytest.mark.parametrize(
    "values",
    [
        {"enabled": False},
        {"state": Bot.State.BANNED},
        {"state": Bot.State.NEEDS_LOGIN},
        {"state": Bot.State.STOPPED},
        {"state": Bot.State.WAITING, "blocked_until": timezone.now() + timedelta(hours=1)},
        {"state": Bot.State.RESTRICTED, "blocked_until": timezone.now() + timedelta(hours=1)},
    ],
    ids=lambda values: str(values.get("state", "disabled")),
)
def test_who_may_not_connect_is_not_sent(db, wanting, values):
    make_bots(wanting, 1, **values)
    host()
    assert supervise(timezone.now()) == []


def test_a_bot_without_a_login_or_that_nobody_wants_is_not_sent(db, wanting):
    without, unwanted = make_bots(wanting, 2)
    BotSession.objects.filter(bot=without).delete()
    wanting.bots.discard(unwanted.pk)
    host()
    assert supervise(timezone.now()) == []


@pytest.mark.parametrize(
    "values",
    [
        {"draining": True},
        {"drain_requested": True},
        {"heartbeat_at": timezone.now() - timedelta(minutes=2)},
        {"role": "parser"},
    ],
    ids=["draining", "drained", "silent", "of another role"],
)
def test_a_worker_that_takes_no_bots_does_not_count_and_that_is_reported_once(db, wanting, values):
    make_bots(wanting, 1)
    host(**values)
    for _ in range(3):
        assert supervise(timezone.now()) == []
        Incident.objects.filter(count=1).update(since=ago(61), last_at=ago(5))
    told = OutboxEvent.objects.filter(routing_key="bots.error")
    assert told.count() == 1
    assert "no actor worker" in told.get().body


def test_bots_of_a_worker_that_died_go_offline_and_are_sent_elsewhere(broker, wanting):
    bots = make_bots(wanting, 2)
    for bot in bots:
        lease_take(bot_id=bot.pk, owner="dead worker")
    Bot.objects.update(state=Bot.State.ONLINE, lease_expires_at=timezone.now() - timedelta(seconds=1))
    host()
    assert set(supervise(timezone.now())) == {bot.pk for bot in bots}
    assert set(Bot.objects.values_list("state", "lease_owner")) == {("offline", "")}
    told = OutboxEvent.objects.filter(routing_key="bots.error")
    assert told.count() == 1 and "dead worker" in told.get().body


@pytest.mark.django_db
def test_a_running_bot_is_let_go_when_it_is_not_wanted_or_may_not_run(wanting):
    kept, unwanted, disabled, stopped, banned = (bot.pk for bot in make_bots(wanting, 5))
    wanting.bots.discard(unwanted)
    Bot.objects.filter(pk=disabled).update(enabled=False)
    Bot.objects.filter(pk=stopped).update(state=Bot.State.STOPPED)
    Bot.objects.filter(pk=banned).update(state=Bot.State.BANNED)
    here = {kept, unwanted, disabled, stopped, banned}
    assert no_longer_wanted(role="actor", bot_ids=here) == here - {kept}


@pytest.mark.parametrize("again", [None, "actor_bots@here"], ids=["it was only frozen", "it was started again"])
def test_a_worker_that_is_back_has_not_gone_any_more(db, wanting, again):
    [bot] = make_bots(wanting, 1)
    wanting.bots.discard(bot.pk)
    name = host_name("actor_bots@here")
    host(name)
    assert lease_take(bot_id=bot.pk, owner=name)
    Bot.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    Host.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=2))
    host(host_name("actor_bots@elsewhere"))
    supervise(timezone.now())
    supervise(timezone.now())
    assert Incident.objects.filter(key=f"worker:{name}").exists()
    host(host_name(again) if again else name)
    supervise(timezone.now())
    assert not Incident.objects.filter(key=f"worker:{name}").exists()


def test_a_wait_of_the_whole_account_that_has_passed_is_over_though_nothing_wants_the_bot(db, wanting):
    over, still = make_bots(wanting, 2, state=Bot.State.WAITING, state_reason="FLOOD_WAIT_500")
    wanting.bots.clear()
    for bot, minutes in ((over, -1), (still, 1)):
        until = timezone.now() + timedelta(minutes=minutes)
        Bot.objects.filter(pk=bot.pk).update(state_until=until, blocked_until=until)
    supervise(timezone.now())
    assert dict(Bot.objects.values_list("pk", "state")) == {over.pk: "offline", still.pk: "waiting"}
    assert BotStateChange.objects.get().reason == "The flood wait is over"


@pytest.mark.parametrize(("capacity", "key"), [(None, "hosts:actor"), (0, "capacity:actor")])
def test_a_lack_of_workers_is_over_when_their_bots_are_wanted_no_more(db, wanting, capacity, key):
    make_bots(wanting, 1)
    if capacity is not None:
        host(capacity=capacity)
    supervise(timezone.now())
    assert Incident.objects.get().key == key
    wanting.bots.clear()
    supervise(timezone.now())
    assert not Incident.objects.exists()


def ago(seconds: float) -> datetime:
    return timezone.now() - timedelta(seconds=seconds)


def test_workers_that_are_still_starting_are_no_incident_until_that_has_lasted(db, wanting):
    make_bots(wanting, 1)
    errors = OutboxEvent.objects.filter(routing_key="bots.error")
    for seconds, published in ((0, 0), (30, 0), (61, 1), (90, 1)):
        supervise(timezone.now())
        Incident.objects.update(since=ago(seconds), last_at=ago(5))
        supervise(timezone.now())
        assert (errors.count(), incidents_shown().count()) == (published, published), seconds


def test_what_was_noticed_before_a_stop_has_not_lasted_since(db, wanting):
    make_bots(wanting, 1)
    supervise(timezone.now())
    Incident.objects.update(since=ago(7200), last_at=ago(7200))
    supervise(timezone.now())
    assert not OutboxEvent.objects.exists()


def test_people_read_an_accounts_name_where_a_reason_has_its_id(db, wanting):
    [bot] = make_bots(wanting, 1)
    Bot.objects.filter(pk=bot.pk).update(display_name="Nina N")
    incident_report(key=f"chat:{bot.pk}", reason=f"bot {bot.pk} is not in the basic group bookclub")
    told = "bot Nina N is not in the basic group bookclub"
    assert Incident.objects.get().reason == told and told in OutboxEvent.objects.get().body
