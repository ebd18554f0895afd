"""The chat owner's permission over its life: begins, is suspended, resumed, expires, is revoked, is replaced."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from bots.deliveries.claiming import claim
from bots.models import Delivery
from campaigns.models import Chat, ChatPermission
from campaigns.permissions.services import permission_grant, permission_resume, permission_revoke, permissions_suspend
from campaigns.permissions.validity import NONE_ON_RECORD, chats_permitted, gap_of, permission_gaps
from panelkit.errors import NotPossible
from tests.integration import ledger

pytestmark = pytest.mark.django_db
SCRIPT, PARSE = ChatPermission.Grant.SCRIPT, ChatPermission.Grant.PARSE
NOW = ledger.START
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def origin() -> ledger.NotingOrigin:
    return ledger.noting_origin()


@pytest.fixture
def chat() -> Chat:
    return ledger.make_chat(permitted=False)


def grant(chat: Chat, **facts: Any) -> ChatPermission:
    always = {"purpose": SCRIPT, "granted_by": "Olga", "evidence": "a letter", "granted_at": NOW - 30 * DAY}
    return permission_grant(chat_id=chat.id, **{**always, **facts})


@pytest.mark.parametrize(
    ("facts", "in_force"),
    [
        ({}, True),
        ({"valid_from": NOW}, True),
        ({"valid_from": NOW + DAY}, False),
        ({"valid_until": NOW}, False),
        ({"valid_until": NOW + DAY}, True),
        ({"suspended_at": NOW, "suspended_reason": "removed"}, False),
        ({"revoked_at": NOW}, False),
        ({"revoked_at": NOW, "valid_until": NOW - DAY}, False),
    ],
)
def test_the_query_and_the_row_agree_at_every_moment(chat, facts, in_force):
    permission = grant(chat)
    ChatPermission.objects.update(**facts)
    permission.refresh_from_db()
    assert (chats_permitted(chat_ids=[chat.id], purpose=SCRIPT, now=NOW) == {chat.id}) is in_force
    assert (gap_of(permission, NOW) is None) is in_force
    assert (permission_gaps(chat_ids=[chat.id], purpose=SCRIPT, now=NOW) == {}) is in_force


def test_a_chat_without_any_record_has_none(chat):
    grant(chat, purpose=PARSE)
    assert permission_gaps(chat_ids=[chat.id], purpose=SCRIPT, now=NOW) == {chat.id: NONE_ON_RECORD}


@pytest.mark.parametrize(
    ("facts", "state", "reason"),
    [
        ({"valid_until": NOW - DAY}, "refused", "it expired at 2024-11-03 12:00 UTC."),
        ({"valid_from": NOW + DAY}, "queued", "it begins at 2024-11-05 12:00 UTC."),
    ],
)
def test_the_gate_explains_why_a_permission_is_not_in_force(chat, facts, state, reason):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    grant(chat, **facts)
    delivery = ledger.queue_line(bot, campaign, chat)
    assert claim(ledger.owners(bot, chats=[chat]), clock=ledger.Clock()).outgoing == []
    delivery.refresh_from_db()
    assert delivery.state == state
    assert (delivery.error or delivery.waiting_reason).endswith(reason)


def test_a_permission_ends_by_the_clock_of_the_claim(chat):
    bot, campaign, clock = ledger.make_bot(), ledger.make_campaign(), ledger.Clock()
    grant(chat, valid_until=NOW + DAY)
    mine = ledger.owners(bot, chats=[chat])
    first = ledger.queue_line(bot, campaign, chat)
    assert [out.id for out in claim(mine, clock=clock).outgoing] == [first.id]
    Delivery.objects.update(state="cancelled")
    ledger.queue_line(bot, campaign, chat)
    clock.forward(days=1)
    assert claim(mine, clock=clock).refused == 1


def test_revoking_refuses_what_is_queued(chat):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    grant(chat)
    delivery = ledger.queue_line(bot, campaign, chat)
    permission_revoke(chat_id=chat.id, purpose=SCRIPT, reason="The owner called.")
    assert claim(ledger.owners(bot, chats=[chat]), clock=ledger.Clock()).outgoing == []
    delivery.refresh_from_db()
    assert delivery.state == "refused" and "it was revoked at" in delivery.error
    assert ChatPermission.objects.get().revoked_reason == "The owner called."


def test_queued_messages_wait_under_a_suspended_permission_until_an_operator_resumes_it(chat):
    bot, campaign, clock = ledger.make_bot(), ledger.make_campaign(), ledger.Clock()
    permission = grant(chat)
    grant(chat, purpose=PARSE)
    delivery = ledger.queue_line(bot, campaign, chat)
    mine = ledger.owners(bot, chats=[chat])
    assert permissions_suspend(chat_id=chat.id, purpose=SCRIPT, reason="CHAT_WRITE_FORBIDDEN") == 1
    assert permissions_suspend(chat_id=chat.id, purpose=SCRIPT, reason="again") == 0
    assert claim(mine, clock=clock).outgoing == []
    delivery.refresh_from_db()
    assert delivery.state == "queued" and delivery.waiting_reason.endswith("CHAT_WRITE_FORBIDDEN.")
    assert chats_permitted(chat_ids=[chat.id], purpose=PARSE) == {chat.id}
    for _ in range(2):
        permission_resume(permission_id=permission.pk)
    assert [out.id for out in claim(mine, clock=clock).outgoing] == [delivery.id]


def test_a_removal_suspends_every_permission_of_the_chat(chat):
    grant(chat)
    grant(chat, purpose=PARSE)
    assert permissions_suspend(chat_id=chat.id, reason="removed") == 2


def test_what_was_revoked_is_not_resumed(chat):
    permission = grant(chat)
    permissions_suspend(chat_id=chat.id, reason="removed")
    permission_revoke(chat_id=chat.id, purpose=SCRIPT)
    with pytest.raises(NotPossible, match="was revoked"):
        permission_resume(permission_id=permission.pk)


def test_a_new_permission_ends_the_old_one_whatever_became_of_it(chat):
    old = grant(chat, valid_until=NOW + DAY)
    permissions_suspend(chat_id=chat.id, reason="removed")
    new = grant(chat, valid_until=NOW + 90 * DAY)
    old.refresh_from_db()
    assert (old.revoked_reason, new.suspended_at) == ("Replaced by a newer permission.", None)
    assert chats_permitted(chat_ids=[chat.id], purpose=SCRIPT, now=NOW) == {chat.id}
    assert grant(chat, valid_until=NOW + 90 * DAY) == new


@pytest.mark.parametrize(
    "facts",
    [
        {"valid_until": NOW - 40 * DAY},
        {"valid_from": NOW + DAY, "valid_until": NOW},
        {"evidence": ""},
    ],
)
def test_the_database_takes_no_permission_that_makes_no_sense(chat, facts):
    with pytest.raises(IntegrityError), transaction.atomic():
        grant(chat, **facts)
