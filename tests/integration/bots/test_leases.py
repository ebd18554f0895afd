"""Who owns a bot: leases over a real database, with rows whose time has passed."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from bots.accounts.services import bot_connected, bot_died, bot_must_wait, session_save
from bots.accounts.states import BARRED, bot_set_state
from bots.models import Bot, BotSession, Cursor
from bots.worker.cursors import CursorGone, Reader, chats_forget, cursor_start, cursors_of, messages_record
from bots.worker.leases import Lease, LeaseLost, lease_release, lease_renew, lease_take
from messaging.models import OutboxEvent
from telegram.errors import BotDead, RetryAfter
from telegram.types import IncomingMessage, Me


class Deaf:
    """A role handler that counts."""

    reads_chats = reads_private = True

    def __init__(self) -> None:
        self.taken: list[int] = []

    def wanted(self, now):
        return set()

    def chats(self, bot_id):
        return []

    def on_messages(self, *, messages) -> None:
        self.taken += [message.message_id for taken in messages.values() for message in taken]

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


def a_bot(**values) -> Bot:
    bot = Bot.objects.create(key=values.pop("key", "bot"), role="parser", phone="+10000000000", **values)
    BotSession.objects.create(bot=bot, data="session of the first")
    return bot


def taken(bot: Bot, owner: str) -> Lease:
    """The lease that nobody else holds."""
    lease = lease_take(bot_id=bot.pk, owner=owner)
    assert lease is not None
    return lease


def run_out(bot: Bot) -> None:
    Bot.objects.filter(pk=bot.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def said(message_id: int) -> IncomingMessage:
    return IncomingMessage(-1001, message_id, 5, "", "", "text", timezone.now(), False, None, False)


@pytest.mark.django_db
def test_only_one_owner_until_the_lease_runs_out():
    bot = a_bot()
    first = taken(bot, "first")
    assert lease_take(bot_id=bot.pk, owner="second") is None
    run_out(bot)
    second = taken(bot, "second")
    assert second.epoch == first.epoch + 1


@pytest.mark.django_db(transaction=True)
def test_of_many_takers_at_once_one_wins():
    bot = a_bot()

    def take(number: int):
        try:
            return lease_take(bot_id=bot.pk, owner=f"owner {number}")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        leases = [lease for lease in pool.map(take, range(8)) if lease is not None]
    assert len(leases) == 1
    assert Bot.objects.get(pk=bot.pk).lease_epoch == 1


@pytest.mark.django_db
def test_the_owners_own_deadline_is_never_later_than_the_databases(settings):
    bot = a_bot()
    before = time.monotonic()
    lease = taken(bot, "owner")
    assert before <= lease.deadline - settings.LEASE_TTL_SECONDS <= time.monotonic()
    assert lease.valid()
    assert lease.stop_at < lease.deadline
    lease.deadline = time.monotonic() + 0.001
    assert not lease.valid()


@pytest.mark.django_db
def test_a_lease_is_renewed_by_its_owner_only_and_only_in_time():
    bot = a_bot()
    first = taken(bot, "first")
    assert lease_renew(bot_id=bot.pk, epoch=first.epoch) is not None
    assert lease_renew(bot_id=bot.pk, epoch=first.epoch + 1) is None
    run_out(bot)
    assert lease_renew(bot_id=bot.pk, epoch=first.epoch) is None


@pytest.mark.django_db
def test_a_released_bot_can_be_taken_at_once_and_a_former_owner_cannot_release_it():
    bot = a_bot()
    first = taken(bot, "first")
    assert lease_release(bot_id=bot.pk, epoch=first.epoch)
    second = taken(bot, "second")
    assert not lease_release(bot_id=bot.pk, epoch=first.epoch)
    assert lease_renew(bot_id=bot.pk, epoch=second.epoch) is not None


@pytest.mark.django_db
@pytest.mark.parametrize("state", sorted(BARRED))
def test_a_barred_bot_is_not_to_be_had(state):
    assert lease_take(bot_id=a_bot(state=state).pk, owner="owner") is None


@pytest.mark.django_db
def test_a_disabled_bot_is_not_to_be_had():
    assert lease_take(bot_id=a_bot(enabled=False).pk, owner="owner") is None


@pytest.mark.django_db
def test_a_former_owner_writes_nothing():
    bot = a_bot()
    old = taken(bot, "first").epoch
    run_out(bot)
    new = taken(bot, "second").epoch
    handler = Deaf()
    reader = Reader(bot.pk, old, handler)
    with pytest.raises(LeaseLost):
        messages_record(reader=reader, peer_id=-1001, messages=[said(1)])
    assert handler.taken == []
    assert not session_save(bot_id=bot.pk, epoch=old, text="session of the former owner")
    assert not bot_set_state(bot_id=bot.pk, epoch=old, state=Bot.State.ONLINE)
    bot_connected(bot_id=bot.pk, epoch=old, me=Me(1, "former", ""))
    bot_must_wait(bot_id=bot.pk, epoch=old, error=RetryAfter(60, "FLOOD_WAIT_60", "m"))
    bot_died(bot_id=bot.pk, epoch=old, error=BotDead("USER_DEACTIVATED_BAN", needs_login=False))
    bot.refresh_from_db()
    assert (bot.state, bot.username, bot.blocked_until, bot.lease_epoch) == ("offline", "", None, new)
    assert bot.session.data == "session of the first"
    assert not OutboxEvent.objects.exists()


@pytest.mark.django_db
def test_messages_are_taken_once_in_order_and_not_across_a_hole():
    bot = a_bot()
    epoch = taken(bot, "owner").epoch
    handler = Deaf()
    reader = Reader(bot.pk, epoch, handler)
    cursor_start(reader=reader, peer_id=-1001, at=0)
    messages_record(reader=reader, peer_id=-1001, messages=[said(1), said(2)], gapless=True)
    recorded = messages_record(reader=reader, peer_id=-1001, messages=[said(2), said(3), said(5)], gapless=True)
    assert (recorded.position, recorded.gap) == (3, True)
    # What the history says is all there is: id 4 was deleted.
    messages_record(reader=reader, peer_id=-1001, messages=[said(5), said(6)])
    assert handler.taken == [1, 2, 3, 5, 6]
    assert cursors_of(bot.pk) == {-1001: 6}
    cursor = Cursor.objects.get(bot=bot)
    assert (cursor.gaps, cursor.gap_messages) == (1, 1)


@pytest.mark.django_db
def test_a_ban_is_reported_once_and_stays():
    bot = a_bot()
    epoch = taken(bot, "owner").epoch
    for _ in range(2):
        bot_died(bot_id=bot.pk, epoch=epoch, error=BotDead("USER_DEACTIVATED_BAN", needs_login=False))
    bot_set_state(bot_id=bot.pk, epoch=epoch, state=Bot.State.OFFLINE)
    assert Bot.objects.get(pk=bot.pk).state == "banned"
    assert OutboxEvent.objects.filter(routing_key="bots.banned").count() == 1
    assert [change.state for change in bot.history.all()] == ["banned"]


@pytest.mark.django_db
def test_a_restricted_bot_stays_restricted_while_it_connects_and_leaves():
    bot = a_bot(state=Bot.State.RESTRICTED)
    epoch = taken(bot, "owner").epoch
    for state in (Bot.State.STARTING, Bot.State.ONLINE, Bot.State.OFFLINE):
        assert not bot_set_state(bot_id=bot.pk, epoch=epoch, state=state)
    assert Bot.objects.get(pk=bot.pk).state == "restricted"


@pytest.mark.django_db
def test_a_forgotten_chat_is_not_read_from_its_beginning():
    bot = a_bot()
    handler = Deaf()
    reader = Reader(bot.pk, taken(bot, "owner").epoch, handler)
    for peer in (-1001, -1002, 7):
        cursor_start(reader=reader, peer_id=peer, at=5)
    assert chats_forget(bot_id=bot.pk, but=[-1002]) == 1
    assert cursors_of(bot.pk) == {-1002: 5, 7: 5}
    with pytest.raises(CursorGone):
        messages_record(reader=reader, peer_id=-1001, messages=[said(6)])
    assert handler.taken == []
