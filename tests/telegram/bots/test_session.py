"""Bots' sessions against the sandbox, over a real database: who owns, and what Telegram's refusals do."""

import asyncio
import json
import threading
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone
from telethon import TelegramClient

from bots.models import Bot, BotBlock, BotStateChange, Cursor, Host, Incident, JoinRequest
from bots.worker import session
from bots.worker.leases import lease_take
from bots.worker.supervision import mark_abandoned, to_be_started
from messaging.models import OutboxEvent
from sandbox.world.actions import membership
from sandbox.world.faults import Fault, FaultKind
from tests.support import wait_until
from tests.telegram.bots_support import LEASE_TTL_SECONDS, Company, events


def until_renewed(bot: Bot) -> None:
    before = Bot.objects.get(pk=bot.pk).lease_expires_at
    wait_until(lambda: Bot.objects.filter(pk=bot.pk, lease_expires_at__gt=before).exists(), what="a renewed lease")


def test_a_bot_connects_joins_its_chats_and_stores_its_identity(company: Company):
    square, square_row = company.make_chat("square")
    yard, yard_row = company.make_chat("yard", kind="group")
    company.say(square, "long ago")
    bot = company.make_bot("ears", square_row, yard_row)
    company.run(company.start(), bot)
    company.online(bot)
    company.say(square, "now")
    assert company.until_heard(bot, 1) == ["now"]
    for there, row, kind in ((square, square_row, "supergroup"), (yard, yard_row, "group")):
        row.refresh_from_db()
        assert (row.telegram_id, row.kind, row.title) == (there.id, kind, there.title)
    bot.refresh_from_db()
    assert (bot.state, bot.username) == ("online", "ears_here")
    assert Host.objects.get().name == bot.lease_owner


def test_an_owner_that_cannot_renew_lets_go_before_another_connects(company: Company, settings):
    settings.LEASE_TTL_SECONDS = 6
    bot = company.make_bot("ears")
    first = company.start("first")
    task = company.run(first, bot)[0]
    company.online(bot)
    session = first.sessions[bot.pk]
    with transaction.atomic(), connection.cursor() as cursor:
        # The owner's renewals hang behind this lock; so does everybody who would take the bot.
        cursor.execute("SELECT lease_expires_at FROM bots_bot WHERE id = %s FOR UPDATE", [bot.pk])
        expires_at = cursor.fetchone()[0]

        def closed() -> bool:
            # In this order: however late we look, what is still open then was open when the lease had ended.
            at = database_time()
            still_open = company.connections(bot) > 0
            assert not still_open or at < expires_at
            return not still_open

        wait_until(lambda: not session.lease_valid(), what="the owner gives up")
        wait_until(closed, what="the owner's connection is closed")
    task.join(60)
    assert not task.is_alive()
    settings.LEASE_TTL_SECONDS = LEASE_TTL_SECONDS
    second = company.start("second")
    company.run(second, bot)
    company.online(bot)
    assert company.connections(bot) == 1
    assert Bot.objects.get(pk=bot.pk).lease_owner == "second"
    assert not OutboxEvent.objects.filter(body__contains="AUTH_KEY").exists()


def database_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def test_a_session_whose_lease_was_taken_writes_nothing_any_more(company: Company):
    square, row = company.make_chat("square")
    bot = company.make_bot("ears", row)
    threads = company.run(company.start("first"), bot)
    company.online(bot)
    Bot.objects.filter(pk=bot.pk).update(lease_expires_at=timezone.now() - timedelta(hours=1))
    assert lease_take(bot_id=bot.pk, owner="somebody else") is not None
    company.say(square, "heard by the former owner")
    threads[0].join(60)
    assert not threads[0].is_alive()
    assert company.role.heard == []
    bot.refresh_from_db()
    assert bot.lease_owner == "somebody else"


def test_a_second_task_for_a_bot_that_is_running_does_nothing(company: Company):
    bot = company.make_bot("ears")
    runtime = company.start()
    company.run(runtime, bot)
    company.online(bot)
    second = company.run(runtime, bot)[0]
    second.join(60)
    assert not second.is_alive()
    assert company.connections(bot) == 1


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("USER_DEACTIVATED_BAN", "banned"),
        ("FROZEN_METHOD_INVALID", "banned"),
        ("AUTH_KEY_DUPLICATED", "needs_login"),
    ],
)
def test_a_dead_account_is_reported_and_not_connected_again(company: Company, kind: FaultKind, state: str):
    square, row = company.make_chat("square")
    bot, healthy = company.make_bot("ears", row), company.make_bot("other", row)
    runtime = company.start()
    dead_task, _ = company.run(runtime, bot, healthy)
    company.online(bot, healthy)
    company.sandbox.faults.plan(Fault(kind=kind, method="*", user=bot.telegram_user_id, times=None))
    # Whatever it asks for when it connects again meets the refusal.
    company.sandbox.call(company.sandbox.mtproto.drop_everyone)
    company.until_state(bot, state)
    dead_task.join(60)
    assert not dead_task.is_alive()
    told = [json.loads(body) for body in events("bots.banned")]
    assert [event["worker_id"] for event in told] == [str(bot.pk)]
    assert told[0]["comment"].startswith(kind)
    assert ("logged in again" in told[0]["comment"]) == (state == "needs_login")
    assert BotStateChange.objects.filter(bot=bot).values_list("state", flat=True)[0] == state
    assert lease_take(bot_id=bot.pk, owner="anybody") is None
    company.online(healthy)
    company.say(square, "life goes on")
    assert company.until_heard(healthy, 1) == ["life goes on"]


def test_a_proxy_that_is_refused_is_one_incident_however_often_it_is_tried(company: Company, monkeypatch):
    monkeypatch.setattr(session, "RECONNECT_FIRST", 0.01)
    bot = company.make_bot("ears")
    bot.proxy_url = "socks5://10.0.0.1:1080"
    bot.save(update_fields=["proxy_url"])
    company.run(company.start(), bot)
    incident = Incident.objects.filter(key=f"session:{bot.pk}")
    wait_until(lambda: incident.filter(count__gte=2).exists(), what="it was tried again")
    [event] = [json.loads(body) for body in events("bots.error")]
    assert event["reason"].startswith(f"account {bot} cannot connect: the proxy cannot be used")


def test_a_lease_that_is_renewed_while_the_bot_connects_disturbs_nothing(company: Company, monkeypatch):
    may_connect, connect = threading.Event(), TelegramClient.connect

    async def connect_later(client: TelegramClient) -> None:
        await asyncio.to_thread(may_connect.wait, 60)
        await connect(client)

    bot = company.make_bot("ears")
    monkeypatch.setattr(TelegramClient, "connect", connect_later)
    (task,) = company.run(company.start(), bot)
    company.until_state(bot, "starting")
    try:
        until_renewed(bot)
        until_renewed(bot)
    finally:
        may_connect.set()
    company.online(bot)
    assert task.is_alive()
    assert [*events("bots.error"), *events("bots.crash")] == []


def test_a_wait_for_the_whole_account_is_kept_and_nobody_connects_it_meanwhile(company: Company):
    bot = company.make_bot("ears")
    company.sandbox.faults.plan(Fault(kind="FLOOD_WAIT", method="users.getUsers", seconds=500))
    before = timezone.now()
    task = company.run(company.start(), bot)[0]
    waiting = company.until_state(bot, "waiting")
    task.join(60)
    assert company.state(bot) == ("waiting", "FLOOD_WAIT_500")
    assert waiting.blocked_until is not None and waiting.blocked_until >= before + timedelta(seconds=499)
    assert to_be_started("parser", timezone.now()) == []
    assert to_be_started("parser", timezone.now() + timedelta(seconds=600)) == [bot.pk]


def test_a_wait_before_joining_leaves_the_other_chats_at_work(company: Company):
    square, row = company.make_chat("a_square")
    bot = company.make_bot("ears", row)
    first = company.start("first")
    company.run(first, bot)
    company.online(bot)
    first.close()
    _, market_row = company.make_chat("market")
    company.role.places[bot.pk].append(market_row)
    company.sandbox.faults.plan(Fault(kind="FLOOD_WAIT", method="channels.joinChannel", seconds=300))
    company.run(company.start("second"), bot)
    company.until_state(bot, "waiting")
    company.say(square, "still heard")
    assert company.until_heard(bot, 1) == ["still heard"]
    block = BotBlock.objects.get()
    assert (block.reason, block.method) == ("FLOOD_WAIT_300", "JoinChannel")
    assert Bot.objects.get(pk=bot.pk).state_until == block.until


def test_a_wait_for_the_history_is_kept_as_one(company: Company):
    _, row = company.make_chat("square")
    bot = company.make_bot("ears", row)
    company.sandbox.faults.plan(Fault(kind="FLOOD_WAIT", method="messages.getHistory", seconds=300))
    company.run(company.start(), bot)
    company.until_state(bot, "waiting")
    assert BotBlock.objects.values_list("method", "reason").get() == ("GetHistory", "FLOOD_WAIT_300")


def test_a_chat_that_cannot_be_entered_is_tried_again_more_and_more_rarely(
    company: Company, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("bots.worker.serving.CHATS_SECONDS", 0.01)
    tries: list[int] = []

    def backoff(attempt: int, **_: float) -> timedelta:
        tries.append(attempt)
        return timedelta()

    monkeypatch.setattr("bots.worker.membership.backoff", backoff)
    gone = company.make_chat("gone")[1]
    gone.reference = "https://t.me/+NoSuchInvite"
    gone.save()
    company.run(company.start(), company.make_bot("ears", gone))
    wait_until(lambda: len(tries) >= 3, what="a third attempt")
    assert tries[:3] == [1, 2, 3]


def test_joins_are_paced_and_a_restart_does_not_start_over(company: Company, settings: Any):
    settings.JOINS_PER_HOUR = 1
    chats, rows = zip(*(company.make_chat(name) for name in ("a_square", "market")), strict=True)
    bot = company.make_bot("ears", *rows)

    def joined_by(worker: str) -> list[bool]:
        runtime = company.start(worker)
        company.run(runtime, bot)
        company.online(bot)
        company.look_again(bot)
        runtime.close()
        return [bot.telegram_user_id in chat.members for chat in chats]

    assert joined_by("first") == [True, False]
    assert joined_by("second") == [True, False]
    JoinRequest.objects.update(at=timezone.now() - timedelta(hours=1, seconds=1))
    assert joined_by("third") == [True, True]


def test_a_chat_that_cannot_be_joined_is_reported_once_and_affects_no_other(company: Company):
    square, row = company.make_chat("square")
    gone = company.make_chat("gone")[1]
    gone.reference = "https://t.me/+NoSuchInvite"
    gone.save()
    bot = company.make_bot("ears", gone, row)
    company.run(company.start(), bot)
    company.online(bot)
    company.say(square, "hello")
    assert company.until_heard(bot, 1) == ["hello"]
    assert "(INVITE_HASH_EXPIRED)" in Incident.objects.get(key__startswith="chat:").reason
    assert len(events("bots.error")) == 1


@pytest.mark.parametrize("kind", ["supergroup", "group"])
def test_a_chat_with_approval_gets_one_request_and_is_entered_after_the_approval(company: Company, kind: str):
    club, row = company.make_chat("club", kind=kind)
    club.approval = True
    square, open_row = company.make_chat("square")
    bot = company.make_bot("ears", row, open_row)
    company.run(company.start(), bot)
    company.online(bot)
    incident = Incident.objects.get(key__startswith="chat:")
    assert incident.reason.endswith("ask an admin of the chat to admit the account")
    assert company.world.join_requests == {(bot.telegram_user_id, club.id)}
    company.say(club, "not for you")
    company.say(square, "hello")
    assert company.until_heard(bot, 1) == ["hello"]
    company.sandbox.call(membership.approve, company.world, bot.telegram_user_id, club.id)
    wait_until(lambda: not Incident.objects.exists(), what="the bot in the club")
    wait_until(lambda: Cursor.objects.filter(bot=bot, peer_id=club.id).exists(), what="the club to be read")
    company.say(club, "welcome")
    assert company.until_heard(bot, 2) == ["hello", "welcome"]


def test_a_bot_that_is_not_wanted_any_more_goes_offline(company: Company):
    bot = company.make_bot("ears")
    task = company.run(company.start(), bot)[0]
    company.online(bot)
    company.role.bots.clear()
    task.join(60)
    assert not task.is_alive()
    bot.refresh_from_db()
    assert (bot.state, bot.lease_owner, bot.lease_expires_at) == ("offline", "", None)
    assert company.connections(bot) == 0


def test_a_full_worker_gives_the_bot_back_to_the_supervisor(company: Company):
    bot, other = company.make_bot("ears"), company.make_bot("other")
    runtime = company.start(capacity=1)
    company.run(runtime, bot)
    company.online(bot)
    Bot.objects.filter(pk=other.pk).update(dispatched_at=timezone.now())
    company.run(runtime, other)[0].join(60)
    assert other.pk not in runtime.sessions
    assert Bot.objects.get(pk=other.pk).dispatched_at is None


def test_logging_in_again_fences_off_a_session_of_the_old_login(company: Company):
    bot = company.make_bot("ears")
    task = company.run(company.start(), bot)[0]
    company.online(bot)
    Bot.objects.filter(pk=bot.pk).update(lease_epoch=bot.lease_epoch + 10)
    task.join(60)
    assert not task.is_alive()
    assert mark_abandoned() == []
    assert Cursor.objects.filter(bot=bot).count() == 0


def test_connect_bot_logs_a_bot_in_and_reports_what_went_wrong(company: Company):
    user = company.make_user("Fresh")
    bot = Bot.objects.create(key="fresh", role="parser", phone=user.phone, state=Bot.State.NEEDS_LOGIN)
    with pytest.raises(CommandError, match="The code is wrong"):
        call_command("connect_bot", "fresh", code="00000")
    with pytest.raises(CommandError, match="there is no bot 'nobody'"):
        call_command("connect_bot", "nobody")
    out = StringIO()
    call_command("connect_bot", "fresh", code=user.phone[5] * 5, stdout=out)
    assert "logged in as @fresh_here" in out.getvalue()
    bot.refresh_from_db()
    assert (bot.state, bot.telegram_user_id) == ("offline", user.id)
    other = Bot.objects.create(key="other", role="parser", phone=user.phone)
    with pytest.raises(CommandError, match="already connected as"):
        call_command("connect_bot", other.key, code=user.phone[5] * 5)
