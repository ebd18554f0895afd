"""One worker's runtime over the sandbox: what one bot's failure does to others, draining, clocks, Telegram's waits."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from bots.accounts.services import bot_release
from bots.models import Bot, BotBlock, BotSession, Delivery, Host, Incident
from bots.worker.executor import THREADS
from bots.worker.hosts import host_drain, host_undrain
from bots.worker.supervision import mark_abandoned, to_be_started
from campaigns.models import Chat, ChatPermission, Purpose
from campaigns.permissions.services import permission_grant
from messaging.database.clock import database_clock
from sandbox.world.actions import sending
from sandbox.world.faults import Fault
from telegram.connection.session_store import key_of
from tests.integration import ledger
from tests.integration.locks import lock_waits
from tests.support import wait_until
from tests.telegram.bots_support import LEASE_TTL_SECONDS, Company, Listener, company_with

State = Delivery.State


class Stumbling(Listener):
    """A role that breaks whenever it is asked about one of its bots."""

    def __init__(self) -> None:
        super().__init__()
        self.stumbles_over: Bot | None = None

    def chats(self, bot_id: Any) -> list[Chat]:
        if self.stumbles_over is not None and bot_id == self.stumbles_over.pk:
            raise ZeroDivisionError("a bug of the room above")
        return super().chats(bot_id)


@pytest.fixture
def role() -> Stumbling:
    return Stumbling()


@pytest.fixture
def company(key_dir: Path, settings: Any, transactional_db: None, role: Stumbling) -> Iterator[Company]:
    ledger.noting_origin()
    with company_with(role, key_dir, settings) as company:
        yield company


def permitted(company: Company, name: str) -> tuple[Any, Chat]:
    there, chat = company.make_chat(name)
    permission_grant(chat_id=chat.id, purpose=ChatPermission.Grant.SCRIPT, granted_by="Pavel", evidence="a letter")
    return there, chat


def connections_of(company: Company, bot: Bot) -> list[Any]:
    return list(company.sandbox.call(company.sandbox.mtproto.connections_of, bot.telegram_user_id))


def until(delivery: Delivery, state: str, reason: str = "") -> Delivery:
    def now() -> bool:
        delivery.refresh_from_db()
        return delivery.state == state and reason in delivery.waiting_reason

    wait_until(now, what=f"{state} {reason}")
    return delivery


def test_a_session_that_breaks_takes_no_other_along(company: Company, role: Stumbling):
    square, row = company.make_chat("square")
    broken, healthy = company.make_bot("broken", row), company.make_bot("healthy", row)
    broken_task, healthy_task = company.run(company.start(), broken, healthy)
    company.online(broken, healthy)
    connection = connections_of(company, healthy)
    role.stumbles_over = broken
    broken_task.join(60)
    assert not broken_task.is_alive()
    assert company.state(broken)[0] == "offline"
    assert company.connections(broken) == 0
    assert "ZeroDivisionError" in Incident.objects.get(key=f"session:{broken.pk}").reason
    company.say(square, "life goes on")
    assert company.until_heard(healthy, 1) == ["life goes on"]
    assert healthy_task.is_alive()
    assert connections_of(company, healthy) == connection
    # The worker has room for it again once the bug is gone.
    role.stumbles_over = None
    company.run(company._runtimes[0], broken)
    company.online(broken)
    assert not Incident.objects.filter(key=f"session:{broken.pk}").exists()


def test_bots_that_start_at_once_share_a_few_database_connections(company: Company):
    bots = [company.make_bot(f"bot{number}") for number in range(2 * THREADS)]
    runtime = company.start(capacity=len(bots))
    with transaction.atomic():
        list(Bot.objects.select_for_update())
        company.run(runtime, *bots)
        wait_until(lambda: runtime._starting == len(bots), what="all bots on their way")
        wait_until(lambda: lock_waits() == THREADS, what="all of the executor's threads waiting for us")
    company.online(*bots)


def test_a_bot_that_comes_while_the_worker_ends_is_let_go(company: Company):
    bot = company.make_bot("late")
    runtime = company.start()
    with transaction.atomic():
        list(Bot.objects.select_for_update())
        (task,) = company.run(runtime, bot)
        wait_until(lambda: lock_waits() == 1, what="the bot being taken")
        runtime.drain()
    runtime.close()
    task.join(60)
    assert not task.is_alive()
    bot.refresh_from_db()
    assert (bot.state, bot.lease_owner, bot.lease_expires_at) == ("offline", "", None)


def test_a_drained_worker_finishes_its_messages_and_the_next_sends_the_rest(company: Company):
    _, chat = permitted(company, "square")
    anna = company.make_bot("anna", chat)
    first = company.start("first")
    task = company.run(first, anna)[0]
    company.online(anna)
    campaign = ledger.make_campaign()
    lines = [ledger.queue_line(anna, campaign, chat, f"line {number}") for number in range(40)]
    until(lines[2], State.SENT)
    assert host_drain(name="first")
    task.join(60)
    assert not task.is_alive()
    assert not Delivery.objects.filter(state=State.SENDING).exists()
    assert Host.objects.get(name="first").draining
    bot = Bot.objects.get(pk=anna.pk)
    assert (bot.state, bot.lease_owner) == ("offline", "")
    company.run(first, anna)[0].join(60)
    assert anna.pk not in first.sessions
    company.run(company.start("second"), anna)
    for line in lines:
        until(line, State.SENT)
    assert [entry.text for entry in company.world.ledger] == [line.text for line in lines]
    assert host_undrain(name="first")
    wait_until(lambda: not Host.objects.get(name="first").draining, what="the first to take bots again")


def test_a_worker_whose_clock_is_wrong_keeps_leases_and_waits_by_the_databases(
    company: Company, monkeypatch: pytest.MonkeyPatch
):
    _, chat = permitted(company, "square")
    true_now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: true_now() + timedelta(hours=5))
    anna, flooded = company.make_bot("anna", chat), company.make_bot("flooded")
    company.run(company.start(), anna)
    company.online(anna)
    assert 0 < _lease_left(anna) <= LEASE_TTL_SECONDS
    company.sandbox.faults.plan(
        Fault(kind="FLOOD_WAIT", method="channels.joinChannel", seconds=300, user=anna.telegram_user_id)
    )
    company.role.places[anna.pk].append(company.make_chat("market")[1])
    company.until_state(anna, "waiting")
    assert 290 < (BotBlock.objects.get().until - database_clock()).total_seconds() <= 300
    company.sandbox.faults.plan(
        Fault(kind="FLOOD_WAIT", method="users.getUsers", seconds=500, user=flooded.telegram_user_id)
    )
    company.run(company._runtimes[0], flooded)
    company.until_state(flooded, "waiting")
    until_when = Bot.objects.get(pk=flooded.pk).blocked_until
    assert until_when is not None and 490 < (until_when - database_clock()).total_seconds() <= 500
    line = ledger.queue_line(anna, ledger.make_campaign(), chat, "on time", due_at=database_clock())
    until(line, State.SENT)
    # Nobody else takes the bot away, and the lease was renewed all the time.
    assert mark_abandoned() == []
    assert 0 < _lease_left(anna) <= LEASE_TTL_SECONDS
    assert company.connections(anna) == 1


def _lease_left(bot: Bot) -> float:
    expires_at = Bot.objects.values_list("lease_expires_at", flat=True).get(pk=bot.pk)
    assert isinstance(expires_at, datetime)
    return (expires_at - database_clock()).total_seconds()


def test_peer_flood_stops_first_contacts_across_restarts_until_an_operator_releases_it(company: Company):
    anna = company.make_bot("anna")
    lost, next_one = company.make_user("Lost"), company.make_user("Next")
    company.sandbox.faults.plan(Fault(kind="PEER_FLOOD", user=anna.telegram_user_id))
    first = company.start("first")
    company.run(first, anna)
    company.online(anna)
    campaign = ledger.make_campaign()
    contacts = [
        ledger.queue_message(anna, campaign, None, ledger.DISCLOSED, purpose=Purpose.FIRST_CONTACT, peer_username=name)
        for name in (lost.username, next_one.username)
    ]
    for contact in contacts:
        until(contact, State.QUEUED, "releases the restriction")
    first.close()
    assert company.state(anna) == ("restricted", "PEER_FLOOD")
    second = company.start("second")
    company.run(second, anna)
    company.online(anna)
    company.sandbox.call(sending.send, company.world, user_id=lost.id, peer=anna.telegram_user_id, text="hello?")
    answer = ledger.queue_message(anna, campaign, lost.id, "Hello!", peer_username=lost.username)
    until(answer, State.SENT)
    assert [entry.text for entry in company.world.ledger if entry.from_user == anna.telegram_user_id] == ["Hello!"]
    assert company.state(anna) == ("restricted", "PEER_FLOOD")
    assert bot_release(bot_id=anna.pk, reason="released by olga")
    for contact in contacts:
        until(contact, State.SENT)
    company.until_state(anna, "online")


def test_peer_flood_on_joining_restricts_the_account_and_it_joins_nothing_until_it_is_released(company: Company):
    square, chat = company.make_chat("square")
    market, other = company.make_chat("market")
    anna, boris = company.make_bot("anna", chat), company.make_bot("boris", other)
    company.sandbox.faults.plan(Fault(kind="PEER_FLOOD", method="channels.joinChannel", user=anna.telegram_user_id))
    company.run(company.start(), anna, boris)
    company.online(boris)
    company.until_state(anna, "restricted")
    # Telegram would let it join now.
    company.role.places[anna.pk].append(other)
    company.look_again(anna)
    assert anna.telegram_user_id not in {*square.members, *market.members}
    (incident,) = Incident.objects.all()
    assert (incident.key, "release the account" in incident.reason) == (f"restricted:{anna.pk}", True)
    assert bot_release(bot_id=anna.pk, reason="released by olga")
    wait_until(lambda: {anna.telegram_user_id} <= square.members.keys() & market.members.keys(), what="it joins")


def test_an_account_that_is_in_too_many_chats_is_reported_once_and_blames_no_chat(company: Company):
    chats = [company.make_chat(name) for name in ("square", "market", "hall")]
    anna = company.make_bot("anna", *(chat for _, chat in chats))
    company.sandbox.faults.plan(Fault(kind="CHANNELS_TOO_MUCH", user=anna.telegram_user_id, times=None))
    company.run(company.start(), anna)
    company.online(anna)
    (incident,) = Incident.objects.all()
    assert (incident.key, incident.count) == (f"full:{anna.pk}", 1)
    assert company.state(anna)[0] == "online"


@pytest.mark.parametrize("method", ["messages.sendMessage", "users.getUsers"])
def test_an_account_that_telegram_moves_goes_on_elsewhere_and_sends_once(company: Company, method: str):
    square, chat = permitted(company, "square")
    anna = company.make_bot("anna", chat)
    before = key_of(BotSession.objects.get(bot=anna).data)
    migrate = Fault(kind="USER_MIGRATE", method=method, user=anna.telegram_user_id)
    if method == "users.getUsers":
        # The first request of a connection.
        company.sandbox.faults.plan(migrate)
    company.run(company.start(), anna)
    company.online(anna)
    if method == "messages.sendMessage":
        company.sandbox.faults.plan(migrate)
    line = ledger.queue_line(anna, ledger.make_campaign(), chat, "Hello from elsewhere")
    until(line, State.SENT)
    assert [entry.text for entry in company.world.ledger] == ["Hello from elsewhere"]
    assert key_of(BotSession.objects.get(bot=anna).data) not in ("", before)
    assert company.sandbox.faults.as_json() == []
    company.say(square, "Welcome")
    assert company.until_heard(anna, 1)[-1] == "Welcome"
    assert company.connections(anna) == 1


def test_a_flood_wait_blocks_its_scope_and_nothing_else_across_a_restart(company: Company):
    square, chat = permitted(company, "square")
    _, elsewhere = permitted(company, "market")
    anna, boris = company.make_bot("anna", chat, elsewhere), company.make_bot("boris", chat, elsewhere)
    first = company.start("first")
    company.run(first, anna, boris)
    company.online(anna, boris)
    # Longer than all that is to happen meanwhile: the test itself ends it.
    seconds = 300
    slow = Fault(kind="SLOWMODE_WAIT", seconds=seconds, user=anna.telegram_user_id, chat=square.id)
    company.sandbox.faults.plan(slow)
    campaign = ledger.make_campaign()
    waiting = ledger.queue_line(anna, campaign, chat, "in the slow chat")
    until(waiting, State.QUEUED, f"SLOWMODE_WAIT_{seconds}")
    block = BotBlock.objects.get()
    assert (block.bot_id, block.peer_id, block.method) == (anna.pk, square.id, "SendMessage")
    first.close()
    company.run(company.start("second"), anna, boris)
    company.online(anna, boris)
    other_chat = ledger.queue_line(anna, campaign, elsewhere, "in another chat")
    other_bot = ledger.queue_line(boris, campaign, chat, "by another bot")
    until(other_chat, State.SENT)
    until(other_bot, State.SENT)
    waiting.refresh_from_db()
    assert waiting.state == State.QUEUED and waiting.waiting_until == block.until
    ended_at = database_clock()
    BotBlock.objects.update(until=ended_at)
    Delivery.objects.filter(pk=waiting.pk).update(waiting_until=ended_at)
    until(waiting, State.SENT)
    assert waiting.counted_at is not None and waiting.counted_at >= ended_at
    assert [entry.text for entry in company.world.ledger][-1] == "in the slow chat"


def test_messages_without_updates_or_with_two_are_read_once_and_in_order(company: Company):
    square, row = company.make_chat("square")
    bot = company.make_bot("ears", row)
    company.run(company.start(), bot)
    company.online(bot)
    company.say(square, "one")
    company.until_heard(bot, 1)
    company.sandbox.faults.plan(Fault(kind="UPDATE_LOST", user=bot.telegram_user_id, times=2))
    company.say(square, "two", "three")
    company.say(square, "four")
    assert company.until_heard(bot, 4) == ["one", "two", "three", "four"]
    company.sandbox.faults.plan(Fault(kind="UPDATE_DOUBLED", user=bot.telegram_user_id))
    company.say(square, "five")
    company.say(square, "six")
    assert company.until_heard(bot, 6) == ["one", "two", "three", "four", "five", "six"]


def test_bots_are_started_when_they_are_wanted_by_the_databases_clock(company: Company):
    bot = company.make_bot("ears")
    Bot.objects.filter(pk=bot.pk).update(blocked_until=database_clock() + timedelta(seconds=60))
    assert to_be_started("parser", database_clock()) == []
    assert to_be_started("parser", database_clock() + timedelta(seconds=61)) == [bot.pk]
