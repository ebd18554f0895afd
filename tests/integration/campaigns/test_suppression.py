"""Fences: a stop and a claim at the same moment, and the services that operators stop things with."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from bots.deliveries.claiming import claim
from bots.deliveries.queueing import deliveries_leaving
from bots.models import Delivery
from campaigns.models import Campaign, ChatPermission, Suppression
from campaigns.permissions.services import permission_grant, permission_revoke
from campaigns.permissions.validity import is_permitted
from campaigns.policy.locks import suppressions_lock_shared
from campaigns.services import campaign_finish, campaign_pause, campaign_resume, campaign_start
from campaigns.suppressions.lookup import is_suppressed, suppressed
from campaigns.suppressions.recording import suppression_add
from panelkit.errors import NotPossible
from tests.integration import ledger
from tests.integration.locks import in_thread, somebody_waits_for_a_lock
from tests.support import wait_until

pytestmark = pytest.mark.django_db
State = Delivery.State
WORDS = Suppression.Source.WORDS


@pytest.fixture(autouse=True)
def origin() -> ledger.NotingOrigin:
    return ledger.noting_origin()


def test_suppressing_twice_is_suppressing_once():
    first = suppression_add(telegram_user_id=7, username="@Maria", source=WORDS, reason="said stop")
    assert suppression_add(telegram_user_id=7, source=Suppression.Source.OPERATOR) == first
    assert (first.username, first.source, first.reason) == ("maria", WORDS, "said stop")
    by_name = suppression_add(telegram_user_id=None, username="Pavel", source=WORDS)
    assert suppression_add(telegram_user_id=None, username="@PAVEL", source=WORDS) == by_name


def test_a_suppression_learns_the_name_that_it_lacked():
    suppression_add(telegram_user_id=7, source=WORDS)
    suppression_add(telegram_user_id=7, username="@Maria", source=WORDS)
    assert Suppression.objects.get().username == "maria"


def test_a_suppression_needs_an_id_or_a_username():
    with pytest.raises(ValueError, match="needs a Telegram id or a username"):
        suppression_add(telegram_user_id=None, username="@", source=WORDS)


def test_suppressed_people_are_found_by_id_or_by_a_name_whose_bearer_is_not_known():
    suppression_add(telegram_user_id=7, username="maria", source=WORDS)
    suppression_add(telegram_user_id=None, username="pavel", source=WORDS)
    found = suppressed(user_ids=[7, 8], usernames=["Pavel", "anna", ""])
    assert found.covers(7) and found.covers(8, "PAVEL") and found.covers(None, "pavel")
    assert not found.covers(8, "anna") and not found.covers(None, "") and not found.covers(8, "maria")
    assert is_suppressed(telegram_user_id=7) and not is_suppressed(telegram_user_id=8)
    assert not suppressed(user_ids=[], usernames=[]).covers(None)


def test_a_campaign_moves_only_where_it_may():
    campaign = ledger.make_campaign(state=Campaign.State.DRAFT)
    with pytest.raises(NotPossible, match="is draft: it cannot become paused"):
        campaign_pause(campaign_id=campaign.id)
    assert campaign_start(campaign_id=campaign.id).state == Campaign.State.RUNNING
    assert campaign_pause(campaign_id=campaign.id).state == Campaign.State.PAUSED
    assert campaign_pause(campaign_id=campaign.id).state == Campaign.State.PAUSED
    assert campaign_resume(campaign_id=campaign.id).state == Campaign.State.RUNNING
    assert campaign_finish(campaign_id=campaign.id).state == Campaign.State.FINISHED
    with pytest.raises(NotPossible):
        campaign_resume(campaign_id=campaign.id)


def test_a_permission_is_in_force_until_it_is_revoked():
    chat, script = ledger.make_chat(permitted=False), ChatPermission.Grant.SCRIPT
    given: dict[str, Any] = {"chat_id": chat.id, "purpose": script, "granted_by": "Olga", "evidence": "a letter"}
    assert permission_grant(**given) == permission_grant(**given)
    assert is_permitted(chat_id=chat.id, purpose=script)
    assert permission_revoke(chat_id=chat.id, purpose=script) == 1
    assert not is_permitted(chat_id=chat.id, purpose=script)
    assert permission_revoke(chat_id=chat.id, purpose=script) == 0
    permission_grant(**given)
    assert ChatPermission.objects.filter(chat=chat).count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["campaign", "permission", "person"])
def test_a_stop_waits_for_the_claim_under_way_and_then_counts_it(what, origin, monkeypatch):
    """The claim has called the gate and not yet committed: the stop returns after it, and sees what is leaving."""
    claiming, go_on = threading.Event(), threading.Event()
    original = type(origin).verdicts

    def slowly(self, deliveries, *, now):
        claiming.set()
        assert go_on.wait(60)
        return original(self, deliveries, now=now)

    monkeypatch.setattr(type(origin), "verdicts", slowly)
    bot, campaign, chat = ledger.make_bot(), ledger.make_campaign(), ledger.make_chat()
    if what == "person":
        ledger.queue_message(bot, campaign, 7)
        later = lambda: ledger.queue_message(bot, campaign, 7)  # noqa: E731 - the same line or message once more
    else:
        ledger.queue_line(bot, campaign, chat)
        later = lambda: ledger.queue_line(bot, campaign, chat)  # noqa: E731
    stops: dict[str, Callable[[], object]] = {
        "campaign": lambda: campaign_pause(campaign_id=campaign.id),
        "permission": lambda: permission_revoke(chat_id=chat.id, purpose=ChatPermission.Grant.SCRIPT),
        "person": lambda: suppression_add(telegram_user_id=7, source=WORDS),
    }
    left: list[int] = []

    def stop() -> None:
        stops[what]()
        left.append(deliveries_leaving(campaign_id=campaign.id))

    mine = ledger.owners(bot, chats=[chat])
    claimer = in_thread(lambda: claim(mine, clock=ledger.Clock()))
    assert claiming.wait(60)
    stopper = in_thread(stop)
    wait_until(somebody_waits_for_a_lock, what="the stop waiting for the claim")
    assert left == []
    go_on.set()
    claimer.join(60)
    stopper.join(60)
    assert left == [1]
    Delivery.objects.update(state=State.CANCELLED)
    later()
    assert claim(mine, clock=ledger.Clock()).outgoing == []


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_comes_after_the_stop_waits_for_it_and_obeys():
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    delivery = ledger.queue_message(bot, campaign, 7)
    batches = []
    with transaction.atomic():
        suppression_add(telegram_user_id=7, source=WORDS)
        claimer = in_thread(lambda: batches.append(claim(ledger.owners(bot), clock=ledger.Clock())))
        wait_until(somebody_waits_for_a_lock, what="the claim waiting for the stop")
        assert batches == []
    claimer.join(60)
    assert batches[0].outgoing == []
    assert Delivery.objects.get(id=delivery.id).state == State.CANCELLED


@pytest.mark.django_db(transaction=True)
def test_claims_do_not_wait_for_each_other_at_the_fences():
    first, second = ledger.make_bot(), ledger.make_bot()
    campaign, chat = ledger.make_campaign(), ledger.make_chat()
    ledger.queue_line(second, campaign, chat, origin_id=uuid4())
    batches = []
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM campaigns_campaign WHERE id = %s FOR SHARE", [campaign.id])
            cursor.execute("SELECT id FROM campaigns_chat WHERE id = %s FOR SHARE", [chat.id])
        suppressions_lock_shared()
        mine = ledger.owners(first, second, chats=[chat])
        claimer = in_thread(lambda: batches.append(claim(mine, clock=ledger.Clock())))
        claimer.join(60)
        assert len(batches[0].outgoing) == 1
