"""What the team reads says names: no id of a row, no number of Telegram's, no key in a name's place."""

import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from bots.accounts.incidents import incident_report
from bots.chats.entry_refusals import ASKED, entry_refusal
from bots.logins.sessions import bot_connect
from bots.models import Bot, Incident
from bots.worker.cursors import Reader, message_skip
from bots.worker.reference_confirming import report_unconfirmed
from campaigns.models import Chat
from campaigns.permissions.expiry import permissions_notify_expiring
from leads.models import Lead
from leads.services import identity
from messaging.models import OutboxEvent
from telegram.logins.types import LoginError
from telegram.types import Me
from tests.integration import ledger
from tests.integration.leads_world import make_world, role_handler

pytestmark = pytest.mark.django_db
NUMBER = re.compile(r"\d{6}|[0-9a-f]{8}-")


@pytest.fixture
def bot() -> Bot:
    return ledger.make_bot(key="bot-anna", display_name="Anna")


@pytest.fixture
def chat() -> Chat:
    return ledger.make_chat(key="square", title="Market square", reference="@square")


def reason() -> str:
    [told] = Incident.objects.values_list("reason", flat=True)
    assert not NUMBER.search(told), told
    return told


def test_an_account_that_cannot_join_a_chat_is_reported_with_both_names(bot, chat):
    incident_report(key="chat", reason=entry_refusal(bot_id=bot.pk, chat=chat, reason=ASKED))
    assert reason() == "account Anna has asked to join “Market square”: ask an admin of the chat to admit the account"


def test_an_account_that_cannot_confirm_a_reference_is_reported_with_both_names(bot, chat):
    report_unconfirmed(bot_id=bot.pk, chat=chat, reason="FLOOD")
    assert reason() == (
        "the changed reference of “Market square” is not confirmed: account Anna cannot see where @square leads: FLOOD"
    )


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("the chat", "“Market square”"),
        (-1_009_999_999_999, "a chat that is not on record"),
        (5_000_111, "a private chat"),
    ],
)
def test_a_skipped_message_is_reported_with_its_chat(bot, chat, place, told):
    peer_id = chat.telegram_id if place == "the chat" else place
    reader = Reader(bot.pk, bot.lease_epoch, role_handler("actor"))
    bot.cursors.create(peer_id=peer_id, last_message_id=1)
    message: Any = SimpleNamespace(peer_id=peer_id, message_id=1_234_567)
    message_skip(reader=reader, message=message, error=KeyError())
    assert reason().startswith(f"account Anna: a message in {told} was skipped (KeyError): read it in Telegram's app")


def test_an_account_that_is_connected_already_is_reported_with_name_and_key(bot):
    bot.telegram_user_id = 7
    bot.save()
    with pytest.raises(LoginError, match=r"already connected as Anna \(bot-anna\)\."):
        bot_connect(bot_id=ledger.make_bot().pk, session="", me=Me(7, "", ""))


def test_an_ending_permission_is_reported_with_the_chats_title(chat):
    end = datetime(2024, 12, 4, tzinfo=UTC)
    chat.permissions.update(valid_until=end)
    permissions_notify_expiring(now=end)
    [body] = OutboxEvent.objects.filter(routing_key="admin.error").values_list("body", flat=True)
    assert "The permission of “Market square” for" in body


def test_a_long_title_leaves_room_for_what_to_do(bot, chat):
    chat.title = "x" * 200
    incident_report(key="chat", reason=entry_refusal(bot_id=bot.pk, chat=chat, reason=ASKED))
    assert reason().endswith("…”: ask an admin of the chat to admit the account")


def test_a_lead_that_turns_out_to_be_another_is_closed_without_the_others_id():
    world = make_world()
    facts: dict[str, Any] = {"campaign": world.campaign, "hit_at": ledger.START, "chat_id": -1, "message_id": 1}
    goes, stays = (Lead.objects.create(telegram_user_id=user, event_id=uuid4(), **facts) for user in (1, 2))
    identity._end(goes, stays)
    goes.refresh_from_db()
    assert (
        goes.state_reason
        == "This is the same person as another lead of this campaign: see “Same as” on the lead's page."
    )
