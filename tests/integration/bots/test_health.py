"""The states of a bot: what leads where, what outlives what, and what a person is told to do."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from bots.accounts import services
from bots.accounts.flood_waits import connected_state_set
from bots.accounts.state_help import NEXT_STEP, next_step
from bots.accounts.states import bot_set_state
from bots.logins.sessions import bot_connect
from bots.models import Bot, BotBlock, BotSession, Cursor, Host
from bots.worker.hosts import host_beat, hosts_alive
from bots.worker.leases import lease_take
from telegram.errors import BotDead, RetryAfter
from telegram.types import Me

pytestmark = pytest.mark.django_db
State = Bot.State


def a_bot(**values) -> Bot:
    bot = Bot.objects.create(**{"key": f"bot-{Bot.objects.count()}", "role": "actor", "phone": "+1", **values})
    BotSession.objects.create(bot=bot, data="session")
    return bot


def restricted() -> Bot:
    bot = a_bot()
    assert bot_set_state(bot_id=bot.pk, state=State.RESTRICTED, reason="PEER_FLOOD")
    return bot


def state(bot: Bot) -> tuple[str, str]:
    return Bot.objects.values_list("state", "state_reason").get(pk=bot.pk)


def test_a_restriction_is_lifted_by_a_release_and_by_nothing_else():
    bot = restricted()
    epoch = bot.lease_epoch
    assert not services.bot_start(bot_id=bot.pk, reason="started by olga")
    assert services.bot_stop(bot_id=bot.pk, reason="stopped by olga")
    assert services.bot_start(bot_id=bot.pk, reason="started by olga")
    assert state(bot) == ("restricted", "PEER_FLOOD")
    services.bot_died(bot_id=bot.pk, epoch=epoch, error=BotDead("SESSION_REVOKED", needs_login=True))
    bot_connect(bot_id=bot.pk, session="fresh", me=Me(5, "anna", ""))
    assert state(bot) == ("restricted", "PEER_FLOOD")
    assert services.bot_release(bot_id=bot.pk, reason="released by olga")
    assert state(bot) == ("offline", "released by olga")
    assert not services.bot_release(bot_id=bot.pk, reason="again")
    services.bot_stop(bot_id=bot.pk, reason="stopped by olga")
    services.bot_start(bot_id=bot.pk, reason="started by olga")
    assert state(bot) == ("offline", "started by olga")


@pytest.mark.parametrize("dead", [State.BANNED, State.NEEDS_LOGIN])
def test_only_a_login_brings_a_dead_bot_back(dead):
    bot = a_bot()
    assert bot_set_state(bot_id=bot.pk, state=dead, reason="X")
    assert not services.bot_stop(bot_id=bot.pk, reason="stopped")
    assert not services.bot_start(bot_id=bot.pk, reason="started")
    assert not services.bot_release(bot_id=bot.pk, reason="released")
    assert lease_take(bot_id=bot.pk, owner="anybody") is None
    bot_connect(bot_id=bot.pk, session="fresh", me=Me(5, "anna", ""))
    assert state(bot) == ("offline", "Logged in")


def test_a_wait_of_the_whole_account_outlives_a_stop_and_a_new_login_but_not_a_new_account():
    bot = a_bot(telegram_user_id=5)
    lease = lease_take(bot_id=bot.pk, owner="worker")
    assert lease is not None
    services.bot_must_wait(bot_id=bot.pk, epoch=lease.epoch, error=RetryAfter(500, "FLOOD_WAIT_500", "GetDialogs"))
    BotBlock.objects.create(bot=bot, method="join", until=timezone.now() + timedelta(hours=1), reason="FLOOD_WAIT_3600")
    Cursor.objects.create(bot=bot, peer_id=7, last_message_id=3)
    Bot.objects.update(lease_expires_at=None, lease_owner="")
    services.bot_stop(bot_id=bot.pk, reason="stopped")
    services.bot_start(bot_id=bot.pk, reason="started")
    bot_connect(bot_id=bot.pk, session="fresh", me=Me(5, "anna", ""))
    assert state(bot)[0] == "offline"
    assert lease_take(bot_id=bot.pk, owner="anybody") is None
    assert BotBlock.objects.count() == Cursor.objects.count() == 1
    bot_connect(bot_id=bot.pk, session="fresh", me=Me(6, "boris", ""))
    assert lease_take(bot_id=bot.pk, owner="anybody") is not None
    assert not BotBlock.objects.exists() and not Cursor.objects.exists()


def test_a_later_end_of_the_same_wait_is_shown():
    bot = a_bot()
    for minutes in (1, 2):
        until = timezone.now() + timedelta(minutes=minutes)
        assert bot_set_state(bot_id=bot.pk, state=State.WAITING, reason="FLOOD_WAIT", until=until)
    assert Bot.objects.get(pk=bot.pk).state_until == until


def test_every_state_has_a_next_step():
    assert set(NEXT_STEP) == set(State.values)
    assert all(text.endswith(".") for text in NEXT_STEP.values())
    assert "never logged in" in next_step(Bot(), has_session=False)
    logged_out = Bot(state=State.STOPPED, telegram_user_id=5)
    assert "was logged out" in next_step(logged_out, has_session=False)
    assert "The account is disabled." in next_step(Bot(enabled=False))
    assert "assign it to a campaign" in next_step(Bot(role="manager"))
    assert "log it in again" in next_step(Bot(state=State.NEEDS_LOGIN), has_session=False)


def test_a_drained_host_takes_no_bots_until_an_operator_undrains_it(capsys):
    for name in ("actors-1@laptop", "actors-2@laptop"):
        host_beat(name=name, role="actor", capacity=3, draining=False)
    call_command("bots", "drain", "actors-1")
    assert [host.name for host in hosts_alive("actor")] == ["actors-2@laptop"]
    assert host_beat(name="actors-1@laptop", role="actor", capacity=3, draining=True) is True
    with pytest.raises(CommandError, match="matches 2 workers"):
        call_command("bots", "drain", "actors")
    call_command("bots", "hosts")
    assert "drained" in capsys.readouterr().out
    call_command("bots", "undrain", "actors-1")
    assert host_beat(name="actors-1@laptop", role="actor", capacity=3, draining=False) is False
    assert Host.objects.filter(drain_requested=True).count() == 0


def test_the_command_lists_bots_with_what_to_do(capsys):
    restricted()
    call_command("bots", "list")
    line = capsys.readouterr().out
    assert "restricted (PEER_FLOOD)" in line and "@SpamBot" in line


def test_a_connected_bot_waits_while_telegram_makes_all_of_it_wait_and_is_online_after():
    bot = a_bot()
    lease = lease_take(bot_id=bot.pk, owner="worker")
    assert lease is not None

    def shown(**block) -> tuple[str, str]:
        BotBlock.objects.filter(bot=bot).delete()
        until = timezone.now() + timedelta(seconds=60)
        if block:
            BotBlock.objects.create(bot=bot, **{"peer_id": 0, "until": until, "reason": "FLOOD_WAIT_60", **block})
        connected_state_set(bot_id=bot.pk, epoch=lease.epoch)
        return state(bot)

    assert shown(method="SendMessage") == ("waiting", "Telegram asked the account to wait: FLOOD_WAIT_60 (SendMessage)")
    bot.refresh_from_db()
    assert bot.state_until is not None and bot.state_until > timezone.now()
    assert shown(method="SendMessage", until=timezone.now() - timedelta(seconds=1)) == ("online", "")
    assert shown(method="SendMessage", peer_id=-100501) == ("online", ""), "one chat alone"
    assert shown(method="GetMessages") == ("online", ""), "what it can do without"
    assert shown(method="JoinChannel")[1].startswith("Telegram does not let the account join chats")
    assert shown() == ("online", "")


def test_the_end_of_a_wait_is_shown_until_it_has_passed(capsys):
    until = timezone.now() + timedelta(minutes=5)
    a_bot(key="floods", state=State.WAITING, state_reason="FLOOD_WAIT_300", state_until=until)
    a_bot(key="back", state=State.ONLINE, blocked_until=timezone.now() - timedelta(minutes=5))
    call_command("bots", "list")
    back, floods = sorted(capsys.readouterr().out.splitlines())
    assert f"waiting (FLOOD_WAIT_300 · until {until:%Y-%m-%d %H:%M:%S} UTC)" in floods
    assert "online: Nothing to do." in back


def test_a_silent_worker_and_a_role_without_a_worker_are_shown(capsys):
    bot = a_bot(role="manager")
    host_beat(name="mgr1", role="manager", capacity=5, draining=False)
    call_command("bots", "hosts")
    call_command("bots", "list")
    said = capsys.readouterr().out
    assert "takes accounts" in said and f"{bot.key:20} offline: The account connects while it is a manager" in said
    Host.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    call_command("bots", "hosts")
    call_command("bots", "list")
    said = capsys.readouterr().out
    assert "silent since" in said and f"{bot.key:20} offline: No worker takes accounts of the role manager" in said
