"""What Telegram says about an account's place in a chat, and what becomes of the owner's permission."""

import pytest

from bots.claiming import claim
from bots.models import Bot, Delivery, Presence, Trouble
from bots.outcomes import record_refusal_of_telegram
from bots.unwelcome import presence_ended, presence_note, reading_refused, suspensions_over, writing_refused
from campaigns.models import Chat, ChatPermission
from campaigns.services import permission_grant, permission_resume
from messaging.models import OutboxEvent
from telegram.errors import ChatRefuses
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
    ("error", "purposes"),
    [
        ("CHAT_WRITE_FORBIDDEN", {"script"}),
        ("CHAT_SEND_PLAIN_FORBIDDEN", {"script"}),
        ("USER_BANNED_IN_CHANNEL", {"script"}),
        ("CHANNEL_PRIVATE", {"script", "parse"}),
        ("USER_NOT_PARTICIPANT", {"script", "parse"}),
        ("CHANNELS_TOO_MUCH", set()),
        ("INVITE_REQUEST_SENT", set()),
        ("CHAT_ID_INVALID", set()),
    ],
)
def test_a_refusal_that_is_the_owners_word_suspends_what_it_puts_in_doubt(bot, chat, error, purposes):
    writing_refused(bot_id=bot.id, chat_id=chat.id, error=ChatRefuses(error))
    assert set(suspended()) == purposes
    assert all(error in reason and str(bot) in reason for reason in suspended().values())
    assert Trouble.objects.count() == bool(purposes)


def test_the_rest_of_the_play_waits_when_one_line_was_refused(bot, chat):
    campaign, clock, other = ledger.make_campaign(), ledger.Clock(), ledger.make_bot()
    refused, waiting = ledger.queue_line(bot, campaign, chat), ledger.queue_line(other, campaign, chat)
    [out] = claim(ledger.owners(bot, chats=[chat]), clock=clock).outgoing
    record_refusal_of_telegram(out, ChatRefuses("CHAT_WRITE_FORBIDDEN"), clock())
    assert claim(ledger.owners(bot, other, chats=[chat]), clock=clock).outgoing == []
    refused.refresh_from_db()
    waiting.refresh_from_db()
    assert (refused.state, waiting.state) == (Delivery.State.FAILED, Delivery.State.QUEUED)
    assert "suspended until an operator has looked" in waiting.waiting_reason
    assert OutboxEvent.objects.filter(routing_key="bots.error", body__contains="suspended").count() == 1


def test_only_an_account_that_was_in_a_chat_can_be_removed_from_it(bot, chat):
    place = {"bot_id": bot.id, "chat_id": chat.id, "peer_id": chat.telegram_id}
    assert not presence_ended(**place) and suspended() == {}
    for _ in range(2):
        presence_note(**place)
    assert not presence_ended(**{**place, "peer_id": -5}), "the reference leads to another chat now"
    assert presence_ended(**place) and set(suspended()) == {"script", "parse"}
    assert not presence_ended(**place) and not Presence.objects.exists()


def test_a_history_that_is_closed_suspends_the_chat_it_belongs_to(bot, chat):
    reading_refused(bot_id=bot.id, peer_id=-42, error=ChatRefuses("CHANNEL_PRIVATE"))
    assert suspended() == {}
    reading_refused(bot_id=bot.id, peer_id=chat.telegram_id, error=ChatRefuses("CHAT_ADMIN_REQUIRED"))
    assert suspended() == {}
    reading_refused(bot_id=bot.id, peer_id=chat.telegram_id, error=ChatRefuses("CHANNEL_PRIVATE"))
    assert set(suspended()) == {"script", "parse"}


def test_every_suspension_is_told_and_its_trouble_is_over_when_the_account_is_in_again(bot, chat):
    for round_ in (1, 2):
        writing_refused(bot_id=bot.id, chat_id=chat.id, error=ChatRefuses("CHAT_WRITE_FORBIDDEN"))
        assert OutboxEvent.objects.filter(routing_key="bots.error").count() == round_
        for permission in ChatPermission.objects.all():
            permission_resume(permission_id=permission.pk)
    presence_note(bot_id=bot.id, chat_id=chat.id, peer_id=-5)
    assert not Trouble.objects.exists()


def test_a_suspensions_trouble_is_over_when_an_operator_has_resumed_it(bot, chat):
    writing_refused(bot_id=bot.id, chat_id=chat.id, error=ChatRefuses("CHAT_WRITE_FORBIDDEN"))
    suspensions_over()
    assert Trouble.objects.count() == 1
    permission_resume(permission_id=ChatPermission.objects.get(suspended_at__isnull=False).pk)
    suspensions_over()
    assert not Trouble.objects.exists()
