"""Asking the gate without sending: the same answer that a sender gets, and no trace of the question."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bots.accounts.incidents import incident_report
from bots.chats.entry_refusals import entry_incident
from bots.deliveries.claiming import claim
from bots.gate.preview import GatePreview, delivery_preview, draft_for, draft_preview
from bots.gate.verdicts import ALLOW, Allow, Refuse, Wait
from bots.models import Bot, BotBlock, BotSession, Delivery
from campaigns.budgets import budget_set
from campaigns.models import Budget, ChatPermission, Purpose, Suppression
from campaigns.permissions.services import permission_revoke
from campaigns.services import campaign_pause
from tests.integration import ledger
from tests.integration.leads_world import make_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def facts(origin: ledger.NotingOrigin) -> dict[str, Any]:
    """A line of a script that may be said."""
    return {
        "bot": ledger.make_bot(),
        "campaign": ledger.make_campaign(),
        "chat": ledger.make_chat(),
        "purpose": Purpose.SCRIPT,
    }


def would(facts: dict[str, Any], **changed: Any) -> GatePreview:
    return draft_preview(draft=draft_for(**{"text": "", **facts, **changed}))


def to_person(facts: dict[str, Any], **changed: Any) -> GatePreview:
    return would({**facts, "chat": None, "purpose": Purpose.FIRST_CONTACT}, **{"peer_id": 7, **changed})


def test_allows_what_a_sender_would_send(facts):
    assert would(facts).verdict == ALLOW
    assert to_person(facts, text=ledger.DISCLOSED).verdict == ALLOW


def test_refuses_with_the_reason(facts):
    permission_revoke(chat_id=facts["chat"].id, purpose=ChatPermission.Grant.SCRIPT)
    verdict = would(facts).verdict
    assert isinstance(verdict, Refuse)
    gap = f"No permission from the owner of “{facts['chat']}” is in force: it was revoked at "
    assert verdict.reason.startswith(gap)
    Suppression.objects.create(telegram_user_id=7, source=Suppression.Source.WORDS)
    assert to_person(facts, text=ledger.DISCLOSED).verdict == Refuse("This person asked not to be written to.")
    assert to_person(facts, text="Hi!", peer_id=8).verdict == Refuse(
        "A first message must say that an AI writes it and how to opt out; this text does not."
    )


def by_name(facts: dict[str, Any], name: str) -> GatePreview:
    return to_person(facts, text=ledger.DISCLOSED, peer_id=None, peer_username=name)


def test_a_username_is_refused_if_it_belongs_to_a_suppressed_person_in_our_records(facts):
    make_world().receive(telegram_user_id=501, username="sveta_lebed")
    assert by_name(facts, "Sveta_Lebed").verdict == ALLOW
    Suppression.objects.create(telegram_user_id=501, source=Suppression.Source.WORDS)
    answer = by_name(facts, "Sveta_Lebed")
    assert (answer.verdict, answer.bearer) == (Refuse("This person asked not to be written to."), 501)


def test_a_name_that_was_entered_with_an_id_is_the_ids_until_it_is_seen_with_another(facts):
    Suppression.objects.create(telegram_user_id=501, username="Sveta_Lebed", source=Suppression.Source.OPERATOR)
    assert by_name(facts, "sveta_lebed").bearer == 501
    make_world().receive(telegram_user_id=502, username="sveta_lebed")
    answer = by_name(facts, "sveta_lebed")
    assert (answer.verdict, answer.by_name, answer.bearer) == (ALLOW, True, None)


def test_a_first_contact_without_a_text_is_judged_by_the_campaigns_own(facts):
    assert isinstance(to_person(facts).verdict, Refuse)
    facts["campaign"].first_contact_template = "{Hi|Hello}! " + ledger.DISCLOSED
    assert to_person(facts).verdict == ALLOW


def test_waits_until_the_budget_frees_and_counts_nothing(facts):
    budget_set(scope=Budget.Scope.BOT, limit=1, window_seconds=3600)
    for _ in range(3):
        assert would(facts).verdict == ALLOW
    said = ledger.queue_line(facts["bot"], facts["campaign"], facts["chat"])
    claim(ledger.owners(facts["bot"], chats=[facts["chat"]]))
    said.refresh_from_db()
    assert said.counted_at is not None
    reason = f"The budget of {facts['bot']} is used up: at most 1 in 1 hour."
    assert would(facts).verdict == Wait(said.counted_at + timedelta(hours=1), reason)


def test_shows_all_objections(facts):
    until = timezone.now() + timedelta(minutes=5)
    BotBlock.objects.create(bot=facts["bot"], method="SendMessage", until=until, reason="FLOOD_WAIT_300")
    campaign_pause(campaign_id=facts["campaign"].id)
    facts["campaign"].refresh_from_db()
    assert would(facts).objections == (
        Wait(None, f"Campaign “{facts['campaign']}” is paused."),
        Wait(until, f"FLOOD_WAIT_300: Telegram asked {facts['bot']} to wait."),
    )


@pytest.mark.parametrize(
    "changed",
    [{"lease_expires_at": None}, {"lease_expires_at": ledger.START}, {"state": Bot.State.STARTING}],
)
def test_a_bot_that_no_worker_has_ready_is_not_connected(facts, changed):
    for name, value in changed.items():
        setattr(facts["bot"], name, value)
    assert would(facts).verdict == Wait(None, f"{facts['bot']} is not logged in: log it in.")
    BotSession.objects.create(bot=facts["bot"], data="session")
    assert would(facts).verdict == Wait(None, f"{facts['bot']} is not connected.")


def test_a_chat_that_the_account_could_not_enter_is_waited_for(facts):
    bot, chat = facts["bot"], facts["chat"]
    incident_report(key=entry_incident(bot_id=bot.id, chat_id=chat.id), reason="INVITE_HASH_EXPIRED")
    reason = f"{bot} is not a member of “{chat}” yet and joins it when it is connected and its limits allow it."
    assert would(facts).verdict == Wait(None, reason)


def test_a_queued_delivery_gets_the_answer_that_its_sender_gets(facts, origin):
    delivery = ledger.queue_line(facts["bot"], facts["campaign"], facts["chat"])
    mine = ledger.owners(facts["bot"], chats=[facts["chat"]])
    origin.answers[delivery.origin_id] = Wait(None, "The play is paused.")
    assert delivery_preview(delivery_id=delivery.id).verdict == Wait(None, "The play is paused.")
    claim(mine)
    delivery.refresh_from_db()
    assert delivery.waiting_reason == "The play is paused."
    origin.answers.clear()
    assert isinstance(delivery_preview(delivery_id=delivery.id).verdict, Allow)
    assert [out.id for out in claim(mine).outgoing] == [delivery.id]
    with pytest.raises(Delivery.DoesNotExist):
        delivery_preview(delivery_id=delivery.id)


def test_what_is_not_due_waits_for_its_time(facts):
    due_at = timezone.now() + timedelta(hours=2)
    delivery = ledger.queue_line(facts["bot"], facts["campaign"], facts["chat"], due_at=due_at)
    assert delivery_preview(delivery_id=delivery.id).verdict == Wait(due_at, "The message is not due yet.")


def test_a_preview_writes_and_locks_nothing(facts):
    budget_set(scope=Budget.Scope.TEAM, limit=5, window_seconds=60)
    delivery = ledger.queue_line(facts["bot"], facts["campaign"], facts["chat"])
    with CaptureQueriesContext(connection) as queries:
        would(facts)
        to_person(facts, text=ledger.DISCLOSED, peer_username="maria")
        delivery_preview(delivery_id=delivery.id)
    for query in queries.captured_queries:
        assert query["sql"].lstrip().startswith(("SELECT", "WITH", "(SELECT"))
        assert "FOR UPDATE" not in query["sql"] and "FOR SHARE" not in query["sql"]
    delivery.refresh_from_db()
    assert (delivery.state, delivery.counted_at, delivery.waiting_reason) == (Delivery.State.QUEUED, None, "")
    assert Delivery.objects.count() == 1
