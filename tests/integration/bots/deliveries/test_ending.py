"""Deliveries on their way while their campaign is paused, their person says stop, or their worker ends."""

import threading

import pytest

from bots.deliveries.claiming import claim
from bots.deliveries.queueing import deliveries_cancel_for_person, deliveries_leaving
from bots.models import Delivery
from campaigns.services import campaign_pause, campaign_resume
from tests.integration import ledger
from tests.integration.stage import FakeAccount, until_state
from tests.support import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
State = Delivery.State


class Halfway(threading.Event):
    """Until it is set, the account says half of its messages and no more: however late the test pauses the campaign, it
    does so before all is said."""

    def __init__(self, account: FakeAccount, half: int) -> None:
        super().__init__()
        self._account, self._half = account, half

    def is_set(self) -> bool:
        return super().is_set() or len(self._account.sent) < self._half


def test_when_a_pause_has_nothing_leaving_nothing_more_is_sent(stage):
    campaign = ledger.make_campaign()
    bots = [ledger.make_bot() for _ in range(4)]
    accounts = [stage.put(bot) for bot in bots]
    paused = [Halfway(account, half=20) for account in accounts]
    for bot, account, gate in zip(bots, accounts, paused, strict=True):
        account.before_send = gate
        for number in range(40):
            ledger.queue_message(bot, campaign, 7, str(number))
    stage.start()
    wait_until(lambda: sum(len(account.sent) for account in accounts) >= 8)
    campaign_pause(campaign_id=campaign.id)
    for gate in paused:
        gate.set()
    wait_until(lambda: deliveries_leaving(campaign_id=campaign.id) == 0)
    sent = [len(account.sent) for account in accounts]
    assert sum(sent) < 160
    waiting = Delivery.objects.filter(state=State.QUEUED).exclude(waiting_reason="")
    wait_until(lambda: waiting.filter(waiting_reason__contains="paused").count() >= len(bots))
    assert [len(account.sent) for account in accounts] == sent
    campaign_resume(campaign_id=campaign.id)
    wait_until(lambda: not Delivery.objects.exclude(state=State.SENT).exists())
    assert [account.texts() for account in accounts] == [[str(number) for number in range(40)]] * 4


def test_a_pause_counts_what_is_on_its_way(stage):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account = stage.put(bot)
    gate = account.before_send = threading.Event()
    first, second = ledger.queue_message(bot, campaign, 7, "1"), ledger.queue_message(bot, campaign, 7, "2")
    stage.start()
    assert account.entered.wait(60)
    campaign_pause(campaign_id=campaign.id)
    assert deliveries_leaving(campaign_id=campaign.id) == deliveries_leaving(telegram_user_id=7) == 1
    assert deliveries_cancel_for_person(telegram_user_id=7, reason="stop") == 1
    gate.set()
    until_state(first, State.SENT)
    assert Delivery.objects.get(id=second.id).state == State.CANCELLED
    assert deliveries_leaving(campaign_id=campaign.id) == 0


def test_stopping_the_worker_settles_what_is_on_its_way(stage):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account = stage.put(bot)
    gate = account.before_send = threading.Event()
    delivery, next_one = ledger.queue_message(bot, campaign, 7), ledger.queue_message(bot, campaign, 7, "next")
    stage.start()
    assert account.entered.wait(60)
    stage.stop()
    # On the loop, so surely after it has been asked to end.
    stage.loop.call_soon_threadsafe(stage.loop.call_later, 0.2, gate.set)
    stage.close()
    assert Delivery.objects.get(id=delivery.id).state == State.SENT
    assert Delivery.objects.get(id=next_one.id).state == State.QUEUED


def test_the_former_owners_late_answer_changes_nothing(stage, origin):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account = stage.put(bot)
    gate = account.before_send = threading.Event()
    delivery = ledger.queue_message(bot, campaign, 7)
    stage.start()
    assert account.entered.wait(60)
    Delivery.objects.filter(id=delivery.id).update(lease_epoch=2)
    del stage.sessions[bot.id]
    gate.set()
    wait_until(lambda: len(account.sent) == 1)
    stage.close()
    assert Delivery.objects.get(id=delivery.id).state == State.SENDING
    assert origin.settled == []


def test_nothing_is_left_to_claim_after_the_sender_took_it(stage):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    gate = stage.put(bot).before_send = threading.Event()
    ledger.queue_message(bot, campaign, 7)
    stage.start()
    wait_until(lambda: deliveries_leaving(bot_id=bot.id) == 1)
    assert claim(ledger.owners(bot)).judged == 0
    gate.set()
