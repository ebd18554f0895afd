"""Deliveries found in `sending`: by a new owner, after a pause, too late, without an owner."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from bots.deliveries import recovery
from bots.deliveries.claiming import claim
from bots.deliveries.outgoing import Outgoing
from bots.gate.facts import BotOwner
from bots.models import Bot, Delivery
from campaigns.budgets import budget_set
from campaigns.models import Budget
from campaigns.services import campaign_finish, campaign_pause
from telegram.errors import ChatRefuses, HistoryTooLong, PeerRefuses, RetryAfter, TransientError
from telegram.types import PersonTarget
from tests.integration import ledger
from tests.integration.stage import FakeAccount, SentText, Stage
from tests.support import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
State = Delivery.State


class Left:
    """A delivery that a worker claimed before it died; the bot has a new owner with epoch 2."""

    def __init__(self, stage: Stage, **facts: Any) -> None:
        self.campaign, self.bot = ledger.make_campaign(), ledger.make_bot()
        self.delivery = ledger.queue_message(self.bot, self.campaign, 4242, "Hello")
        [self.out] = claim(ledger.owners(self.bot)).outgoing
        Delivery.objects.filter(id=self.delivery.id).update(**facts)
        Bot.objects.filter(id=self.bot.id).update(lease_epoch=2)
        self.account = stage.put(self.bot, epoch=2)

    def was_said(self) -> None:
        self.account.sent[self.out.random_id] = SentText(1, PersonTarget(4242, "", None, None), "Hello", None)

    def until(self, state: Delivery.State) -> Delivery:
        def look() -> bool:
            self.delivery.refresh_from_db()
            return self.delivery.state == state

        wait_until(look, what=f"{state}, not {self.delivery.state}")
        return self.delivery


def long_ago() -> dict[str, Any]:
    return {"first_attempt_at": timezone.now() - recovery.REPEAT_FOR}


@pytest.mark.parametrize("sent", [True, False])
def test_a_new_owner_repeats_the_request_with_its_random_id(stage, origin, sent):
    left = Left(stage)
    if sent:
        left.was_said()
    stage.start()
    delivery = left.until(State.SENT)
    assert left.account.texts() == ["Hello"]
    assert left.account.requests == [delivery.random_id]
    assert (delivery.lease_epoch, delivery.attempts) == (2, 2)
    assert origin.settled == [(delivery.id, State.SENT)]


def test_a_repeat_does_not_wait_for_the_budget_that_it_has_used(stage):
    left = Left(stage)
    budget_set(scope=Budget.Scope.BOT, limit=1, window_seconds=86_400)
    stage.start()
    left.until(State.SENT)


@pytest.mark.parametrize("sent", [True, False])
def test_after_a_pause_it_is_looked_up_and_never_sent(stage, origin, sent):
    left = Left(stage)
    if sent:
        left.was_said()
    campaign_pause(campaign_id=left.campaign.id)
    stage.start()
    delivery = left.until(State.SENT if sent else State.QUEUED)
    assert left.account.requests == []
    if not sent:
        assert "paused" in delivery.waiting_reason
        assert delivery.counted_at is None
        assert origin.settled == []


def test_refused_and_not_in_the_history_is_refused(stage, origin):
    left = Left(stage)
    campaign_finish(campaign_id=left.campaign.id)
    stage.start()
    delivery = left.until(State.REFUSED)
    assert (left.account.requests, origin.settled) == ([], [(delivery.id, State.REFUSED)])


def test_an_old_attempt_that_was_sent_is_found_in_the_history(stage):
    left = Left(stage, **long_ago())
    left.was_said()
    stage.start()
    left.until(State.SENT)
    assert left.account.requests == []


def test_an_old_attempt_that_was_not_sent_is_sent_again(stage):
    left = Left(stage, **long_ago())
    stage.start()
    left.until(State.SENT)
    assert left.account.texts() == ["Hello"]


def test_what_was_tried_too_often_is_given_up(stage):
    left = Left(stage, attempts=recovery.MAX_ATTEMPTS)
    stage.start()
    assert left.until(State.FAILED).error == f"Telegram did not answer in {recovery.MAX_ATTEMPTS} attempts."


def test_an_unreadable_history_makes_a_delivery_unknown(stage, origin):
    left = Left(stage, **long_ago())
    left.account.lookup_errors = [PeerRefuses("USER_ID_INVALID")]
    stage.start()
    delivery = left.until(State.UNKNOWN)
    assert "check in the chat whether the message was sent" in delivery.error
    assert origin.settled == [(delivery.id, State.UNKNOWN)]


def test_a_history_too_long_to_search_makes_a_delivery_unknown(stage, origin):
    left = Left(stage, **long_ago())
    left.account.lookup_errors = [HistoryTooLong()]
    stage.start()
    delivery = left.until(State.UNKNOWN)
    assert "HISTORY_TOO_LONG" in delivery.error
    assert (left.account.requests, origin.settled) == ([], [(delivery.id, State.UNKNOWN)])


def test_a_repeat_that_is_refused_may_still_have_been_sent(stage):
    left = Left(stage)
    left.was_said()
    left.account.answers = [ChatRefuses("CHAT_WRITE_FORBIDDEN")]
    stage.start()
    left.until(State.SENT)


def test_a_repeat_that_is_refused_and_was_not_sent_fails(stage):
    left = Left(stage)
    left.account.answers = [PeerRefuses("USER_IS_BLOCKED")]
    stage.start()
    assert left.until(State.FAILED).error == "USER_IS_BLOCKED"


def test_a_lookup_that_must_wait_is_tried_again(stage, monkeypatch):
    left = Left(stage, **long_ago())
    left.was_said()
    left.account.lookup_errors = [TransientError("TIMEOUT"), RetryAfter(1, "FLOOD_WAIT_1", "GetHistory")]
    stage.start()
    left.until(State.SENT)


def test_only_the_owner_takes_a_delivery_over(origin):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    ledger.queue_message(bot, campaign, 7)
    claim(ledger.owners(bot))
    [key] = recovery.stranded([bot.id], leaving=[])
    former = {bot.id: BotOwner(0, frozenset())}
    assert recovery.take_over(key, former) is None
    taken = recovery.take_over(key, ledger.owners(bot))
    assert taken is not None
    assert taken.repeat
    assert recovery.stranded([bot.id], leaving=[taken.out.id]) == []


class TestRepair:
    """What beat does for deliveries whose bot nobody owns."""

    def left_alone(self, **facts: Any) -> tuple[Bot, Delivery, Outgoing]:
        bot, campaign = ledger.make_bot(), ledger.make_campaign()
        delivery = ledger.queue_message(bot, campaign, 7)
        [out] = claim(ledger.owners(bot)).outgoing
        Bot.objects.filter(id=bot.id).update(**{"lease_expires_at": None, "state": Bot.State.OFFLINE, **facts})
        return bot, delivery, out

    def test_the_deliveries_that_a_banned_bot_was_sending_become_unknown(self, origin):
        _, delivery, _ = self.left_alone(state=Bot.State.BANNED)
        recovery.repair()
        recovery.repair()
        delivery.refresh_from_db()
        assert delivery.state == State.UNKNOWN
        assert origin.settled == [(delivery.id, State.UNKNOWN)]

    def test_an_owner_has_some_time_to_come(self, origin):
        _, delivery, out = self.left_alone()
        recovery.repair()
        delivery.refresh_from_db()
        assert delivery.state == State.SENDING
        recovery.repair(clock=lambda: out.first_attempt_at + recovery.ORPHAN_AFTER)
        delivery.refresh_from_db()
        assert delivery.state == State.UNKNOWN

    def test_what_is_owned_is_left_to_its_owner(self, origin):
        bot, delivery, out = self.left_alone()
        Bot.objects.filter(id=bot.id).update(lease_expires_at=out.first_attempt_at + timedelta(days=1))
        recovery.repair(clock=lambda: out.first_attempt_at + recovery.ORPHAN_AFTER)
        delivery.refresh_from_db()
        assert delivery.state == State.SENDING

    def test_waiting_deliveries_store_their_reasons_and_refused_deliveries_settle(self, origin):
        away = {"lease_expires_at": None, "state": Bot.State.BANNED, "state_reason": "USER_DEACTIVATED_BAN"}
        bot, campaign, over = ledger.make_bot(**away), ledger.make_campaign(), ledger.make_campaign()
        waiting, refused = ledger.queue_message(bot, campaign, 7), ledger.queue_message(bot, over, 8)
        campaign_finish(campaign_id=over.id)
        recovery.repair()
        waiting.refresh_from_db()
        refused.refresh_from_db()
        assert (waiting.state, waiting.waiting_reason) == (
            State.QUEUED,
            f"{bot.key} is banned (USER_DEACTIVATED_BAN). No other account sends its messages.",
        )
        assert refused.state == State.REFUSED
        assert origin.settled == [(refused.id, State.REFUSED)]

    def test_a_rule_that_changed_reaches_waiting_deliveries(self, origin):
        bot, campaign = ledger.make_bot(lease_expires_at=None), ledger.make_campaign()
        delivery = ledger.queue_message(bot, campaign, 7)
        Delivery.objects.filter(id=delivery.id).update(waiting_until=timezone.now() + timedelta(days=1))
        campaign_finish(campaign_id=campaign.id)
        recovery.repair()
        assert origin.settled == [(delivery.id, State.REFUSED)]


def test_earlier_messages_with_the_same_text_are_excluded_as_far_as_the_history_is_searched(origin):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    now = timezone.now()
    for number, at in ((1, now - timedelta(days=3)), (2, now - timedelta(hours=3))):
        before = ledger.queue_message(bot, campaign, 7, "Hello")
        facts = {"telegram_message_id": number, "sent_at": at, "counted_at": at}
        Delivery.objects.filter(id=before.id).update(state=State.SENT, **facts)
    ledger.queue_message(bot, campaign, 7, "Hello")
    [out] = claim(ledger.owners(bot)).outgoing
    assert recovery.known_ids(out) == {2}


def test_every_delivery_without_an_owner_has_its_turn(origin, monkeypatch):
    bot, campaign = ledger.make_bot(lease_expires_at=None), ledger.make_campaign()
    ids = sorted(ledger.queue_message(bot, campaign, number).id for number in range(1, 6))
    monkeypatch.setattr(recovery, "_ORPHANS_A_ROUND", 2)

    def turn(start: UUID) -> list[UUID]:
        return [key.id for key in recovery._some_orphans(ledger.START, start)]

    assert [turn(start) for start in ids] == [[ids[n], ids[(n + 1) % 5]] for n in range(5)]
    monkeypatch.setattr(recovery, "_ORPHANS_A_ROUND", 20)
    assert turn(ids[2]) == [*ids[2:], *ids[:2]]


def test_an_origin_that_failed_to_settle_is_called_again_and_nothing_is_sent_twice(stage, origin):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account: FakeAccount = stage.put(bot)
    origin.failing = True
    delivery = ledger.queue_message(bot, campaign, 7, "Hello")
    stage.start()
    wait_until(lambda: len(account.requests) >= 2)
    origin.failing = False
    wait_until(lambda: origin.settled == [(delivery.id, State.SENT)])
    assert account.texts() == ["Hello"]
