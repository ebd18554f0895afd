"""Which answers of Telegram about an account in a chat suspend the owner's permission."""

import pytest

from bots.accounts.services import bot_release
from bots.chats.permission_suspension import (
    presence_ended,
    presence_record,
    reading_refused,
    suspension_incidents_close,
    writing_refused,
)
from bots.deliveries.claiming import claim
from bots.deliveries.outcomes import record_failed, record_refusal_of_telegram
from bots.models import Bot, Delivery, Incident, Presence
from campaigns.models import Chat, ChatPermission
from campaigns.permissions.services import permission_grant, permission_resume
from messaging.models import OutboxEvent
from telegram.errors import BotRestricted, ChatRefuses
from tests.integration import ledger

pytestmark = pytest.mark.django_db
PARSE = ChatPermission.Grant.PARSE


@pytest.fixture(autouse=True)
def origin() -> ledger.NotingOrigin:
    return ledger.noting_origin()


@pytest.fixture
def bot() -> Bot:
    return ledger.make_bot()


@pytest.fixture
def chat() -> Chat:
    chat = ledger.make_chat()
    permission_grant(chat_id=chat.id, purpose=PARSE, granted_by="owner", evidence="a letter")
    return chat


def suspended() -> dict[str, str]:
    return dict(ChatPermission.objects.exclude(suspended_at=None).values_list("purpose", "suspended_reason"))


@pytest.mark.parametrize(
    ("says", "purposes"), [("silenced", {"script"}), ("removed", {"script", "parse"}), ("", set())]
)
def test_a_refusal_that_is_the_owners_word_suspends_what_it_puts_in_doubt(bot, chat, says, purposes):
    writing_refused(bot_id=bot.id, chat_id=chat.id, error=ChatRefuses("ITS_NAME", says=says))
    assert set(suspended()) == purposes
    assert all("ITS_NAME" in reason and str(bot) in reason for reason in suspended().values())
    assert Incident.objects.count() == bool(purposes)


def test_the_rest_of_the_play_waits_when_one_line_was_refused(bot, chat):
    campaign, clock, other = ledger.make_campaign(), ledger.Clock(), ledger.make_bot()
    refused, waiting = ledger.queue_line(bot, campaign, chat), ledger.queue_line(other, campaign, chat)
    [out] = claim(ledger.owners(bot, chats=[chat]), clock=clock).outgoing
    record_refusal_of_telegram(out, ChatRefuses("CHAT_WRITE_FORBIDDEN", says="silenced"), clock())
    assert claim(ledger.owners(bot, other, chats=[chat]), clock=clock).outgoing == []
    refused.refresh_from_db()
    waiting.refresh_from_db()
    assert (refused.state, waiting.state) == (Delivery.State.FAILED, Delivery.State.QUEUED)
    assert "suspended until an operator checks the chat" in waiting.waiting_reason
    assert OutboxEvent.objects.filter(routing_key="bots.error", body__contains="suspended").count() == 1


def test_an_account_that_may_write_in_no_supergroup_is_restricted_and_no_owner_is_taken_to_have_refused(bot, chat):
    campaign, clock, other, group = ledger.make_campaign(), ledger.Clock(), ledger.make_bot(), ledger.make_chat()
    Chat.objects.filter(pk=group.pk).update(kind=Chat.Kind.GROUP)
    refused, elsewhere = ledger.queue_line(bot, campaign, chat), ledger.queue_line(bot, campaign, ledger.make_chat())
    chats = list(Chat.objects.all())
    [out] = claim(ledger.owners(bot, chats=chats), clock=clock).outgoing
    for _ in range(2):
        record_refusal_of_telegram(out, BotRestricted("USER_BANNED_IN_CHANNEL"), clock())
    assert (suspended(), Presence.objects.exists()) == ({}, False)
    in_group, by_other = ledger.queue_line(bot, campaign, group), ledger.queue_line(other, campaign, chat)
    leaving = claim(ledger.owners(bot, other, chats=chats), clock=clock).outgoing
    assert {out.id for out in leaving} == {in_group.id, by_other.id}
    for waiting in (refused, elsewhere):
        waiting.refresh_from_db()
        assert (waiting.state, waiting.bot_id) == (Delivery.State.QUEUED, bot.id)
        assert "does not let" in waiting.waiting_reason and "write in supergroups" in waiting.waiting_reason
    bot.refresh_from_db()
    assert (bot.state, bot.state_reason) == (Bot.State.RESTRICTED, "USER_BANNED_IN_CHANNEL")
    assert OutboxEvent.objects.filter(routing_key="bots.error", body__contains="write in supergroups").count() == 1
    assert bot_release(bot_id=bot.id, reason="released by olga")
    assert not Incident.objects.exists()
    for out in leaving:
        record_failed(out, kind="permanent", reason="over")
    leaving = claim(ledger.owners(bot, chats=chats), clock=clock).outgoing
    assert [out.id for out in leaving] == [refused.id]


def test_only_an_account_that_was_in_a_chat_can_be_removed_from_it(bot, chat):
    place = {"bot_id": bot.id, "chat_id": chat.id}
    missing = place | {"peer_ids": {chat.telegram_id}}
    assert not presence_ended(**missing) and suspended() == {}
    for _ in range(2):
        presence_record(**place, peer_id=chat.telegram_id)
    assert not presence_ended(**place, peer_ids={-5}), "it was never in that one"
    assert presence_ended(**missing) and set(suspended()) == {"script", "parse"}
    assert not presence_ended(**missing) and not Presence.objects.exists()


def test_a_history_that_is_closed_suspends_the_chat_it_belongs_to(bot, chat):
    reading_refused(bot_id=bot.id, peer_id=-42, error=ChatRefuses("CHANNEL_PRIVATE", says="removed"))
    assert suspended() == {}
    reading_refused(bot_id=bot.id, peer_id=chat.telegram_id, error=ChatRefuses("CHAT_ADMIN_REQUIRED", says="silenced"))
    assert suspended() == {}
    reading_refused(bot_id=bot.id, peer_id=chat.telegram_id, error=ChatRefuses("CHANNEL_PRIVATE", says="removed"))
    assert set(suspended()) == {"script", "parse"}


def test_every_suspension_is_reported_and_its_incident_is_over_when_the_account_is_in_again(bot, chat):
    for round_ in (1, 2):
        writing_refused(bot_id=bot.id, chat_id=chat.id, error=ChatRefuses("CHAT_WRITE_FORBIDDEN", says="silenced"))
        assert OutboxEvent.objects.filter(routing_key="bots.error").count() == round_
        for permission in ChatPermission.objects.all():
            permission_resume(permission_id=permission.pk)
    presence_record(bot_id=bot.id, chat_id=chat.id, peer_id=-5)
    assert not Incident.objects.exists()


def test_a_suspensions_incident_is_over_when_an_operator_has_resumed_it(bot, chat):
    writing_refused(bot_id=bot.id, chat_id=chat.id, error=ChatRefuses("CHAT_WRITE_FORBIDDEN", says="silenced"))
    suspension_incidents_close()
    assert Incident.objects.count() == 1
    permission_resume(permission_id=ChatPermission.objects.get(suspended_at__isnull=False).pk)
    suspension_incidents_close()
    assert not Incident.objects.exists()
