"""The story of a delivery is whole, and short whatever it went through."""

from datetime import timedelta
from typing import Any

import pytest

from bots.deliveries import outcomes, recovery
from bots.deliveries.claiming import claim
from bots.deliveries.outgoing import Outgoing
from bots.deliveries.queueing import delivery_cancel, delivery_finish, delivery_resolve
from bots.deliveries.timeline import timeline
from bots.gate.facts import Key
from bots.gate.verdicts import Refuse, Wait
from bots.models import Bot, Delivery, DeliveryEvent
from campaigns.models import Campaign
from messaging.database.clock import database_clock
from telegram.errors import RetryAfter, TransientError
from telegram.types import SentMessage
from tests.integration import ledger

pytestmark = pytest.mark.django_db
State = Delivery.State


class Stage:
    """One delivery in a chat, and the process that owns its bot."""

    def __init__(self) -> None:
        self.bot, self.chat, self.campaign = ledger.make_bot(), ledger.make_chat(), ledger.make_campaign()
        self.delivery = ledger.queue_line(self.bot, self.campaign, self.chat)
        self.clock = ledger.Clock(database_clock())

    @property
    def owners(self) -> dict[Any, Any]:
        return ledger.owners(self.bot, chats=[self.chat])

    def judge(self) -> None:
        self.clock.forward(minutes=1)
        assert not claim(self.owners, clock=self.clock).outgoing

    def take(self) -> Outgoing:
        self.clock.forward(minutes=1)
        [out] = claim(self.owners, clock=self.clock).outgoing
        return out

    def key(self) -> Key:
        facts = (self.delivery.id, self.bot.id, self.campaign.id, self.chat.id, None)
        return Key(*facts, self.delivery.origin, self.delivery.origin_id)

    def story(self) -> list[tuple[str, str, int]]:
        self.delivery.refresh_from_db()
        return [(entry.kind, entry.detail, entry.times) for entry in timeline(self.delivery)]


@pytest.fixture
def stage(origin: ledger.NotingOrigin) -> Stage:
    return Stage()


def test_a_delivery_that_simply_leaves_is_created_claimed_sent_and_settled(stage: Stage):
    out = stage.take()
    outcomes.record_sent(out, SentMessage(42, stage.clock.now))
    assert stage.story() == [
        ("created", f"by {ledger.ORIGIN}", 1),
        ("claimed", "under epoch 1", 1),
        ("sent", "message 42", 1),
        ("settled", f"to {ledger.ORIGIN}", 1),
    ]
    assert not DeliveryEvent.objects.exists()


def test_hundreds_of_judgements_are_a_handful_of_rows(stage: Stage, origin: ledger.NotingOrigin):
    for number in range(60):
        origin.answers[stage.delivery.origin_id] = Wait(None, "The person is typing.")
        stage.judge()
        stage.judge()
        if number % 3 == 0:
            Campaign.objects.filter(pk=stage.campaign.pk).update(state=Campaign.State.PAUSED)
            stage.judge()
            Campaign.objects.filter(pk=stage.campaign.pk).update(state=Campaign.State.RUNNING)
    typing, paused = DeliveryEvent.objects.order_by("id")
    assert (typing.kind, typing.detail, typing.times) == ("waited", "The person is typing.", 21)
    assert (paused.kind, paused.times) == ("waited", 20)
    assert paused.at < typing.last_at < paused.last_at + timedelta(minutes=3)


def test_a_new_end_of_the_same_wait_adds_no_event(stage: Stage, origin: ledger.NotingOrigin):
    for minute in range(5):
        until = stage.clock.now + timedelta(seconds=30 + minute)
        origin.answers[stage.delivery.origin_id] = Wait(until, "The budget is used up.")
        stage.judge()
    assert stage.story()[1:] == [("waited", "The budget is used up.", 1)]


def test_a_flood_wait_is_an_event_of_the_attempt(stage: Stage):
    for _ in range(3):
        out = stage.take()
        outcomes.record_refusal_of_telegram(out, RetryAfter(7, "FLOOD_WAIT_7", "SendMessage"), stage.clock.now)
    assert stage.story()[1:] == [("put_back", "FLOOD_WAIT_7: Telegram asked the account to wait.", 3)]


def test_a_lost_answer_and_its_recovery_are_events(stage: Stage):
    out = stage.take()
    outcomes.note_unanswered(out, TransientError("CONNECTION_LOST"))
    found = recovery.take_over(stage.key(), stage.owners, clock=stage.clock)
    assert found is not None and found.repeat
    stage.clock.forward(minutes=30)
    found = recovery.take_over(stage.key(), stage.owners, clock=stage.clock)
    assert found is not None and not found.repeat
    assert "claimed" in [kind for kind, _, _ in stage.story()]
    recovery.record_not_sent(found)
    kinds = [(kind, detail) for kind, detail, _ in stage.story()[1:]]
    assert sorted(kinds) == sorted(
        [
            ("unanswered", "CONNECTION_LOST"),
            ("repeated", "attempt 2, by tests"),
            ("looked_up", "by tests"),
            ("put_back", "Telegram did not answer, and the message is not in the chat: it will be sent again."),
        ]
    )


def test_a_delivery_that_an_operator_or_a_rule_ended_shows_who_and_why(origin: ledger.NotingOrigin):
    cancelled, refused, unknown = Stage(), Stage(), Stage()
    delivery_cancel(delivery_id=cancelled.delivery.pk, reason="cancelled by olga")
    assert cancelled.story()[1:3] == [
        ("cancelled", "cancelled by olga", 1),
        ("settled", f"to {ledger.ORIGIN}", 1),
    ]
    origin.answers[refused.delivery.origin_id] = Refuse("The play is over.")
    refused.judge()
    assert refused.story()[1][:2] == ("refused", "The play is over.")
    unknown.take()
    delivery_finish(delivery_id=unknown.delivery.pk, was=State.SENDING, state=State.UNKNOWN, reason="Look.")
    delivery_resolve(delivery_id=unknown.delivery.pk, sent=True, by="olga")
    kinds = [kind for kind, _, _ in unknown.story()]
    assert kinds.count("settled") == 2
    assert [kind for kind in kinds if kind in Delivery.FINAL] == ["unknown", "sent"]


def test_an_outcome_that_came_too_late_is_no_part_of_the_story(stage: Stage):
    out = stage.take()
    Bot.objects.filter(pk=stage.bot.pk).update(lease_epoch=2)
    stage.bot.refresh_from_db()
    assert recovery.take_over(stage.key(), stage.owners, clock=stage.clock) is not None
    assert not outcomes.record_sent(out, SentMessage(42, stage.clock.now))
    assert not outcomes.put_back(out, "too late")
    assert sorted(kind for kind, _, _ in stage.story()) == ["claimed", "created", "repeated"]


def test_a_final_state_that_cannot_be_settled_leaves_no_trace(stage: Stage, origin: ledger.NotingOrigin):
    out = stage.take()
    origin.failing = True
    with pytest.raises(RuntimeError):
        outcomes.record_sent(out, SentMessage(42, stage.clock.now))
    assert [kind for kind, _, _ in stage.story()] == ["created", "claimed"]
