"""The ledger: queueing, cancelling, counting what leaves, final states."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from bots.deliveries.claiming import claim
from bots.deliveries.queueing import (
    deliveries_cancel,
    deliveries_cancel_for_person,
    deliveries_leaving,
    delivery_finish,
    new_random_id,
)
from bots.models import Delivery
from campaigns.models import Purpose
from messaging.database.listen import connect_direct
from tests.integration import ledger

pytestmark = pytest.mark.django_db
State = Delivery.State


def test_random_ids_are_signed_64_bit_and_differ():
    drawn = {new_random_id() for _ in range(1000)}
    assert len(drawn) == 1000
    assert 0 not in drawn
    assert all(-(2**63) <= number < 2**63 for number in drawn)
    assert min(drawn) < 0 < max(drawn)


def test_queueing_twice_for_one_origin_makes_one_delivery(origin):
    bot, campaign, chat, origin_id = ledger.make_bot(), ledger.make_campaign(), ledger.make_chat(), uuid4()
    first = ledger.queue_line(bot, campaign, chat, "first", origin_id=origin_id)
    second = ledger.queue_line(bot, campaign, chat, "second", origin_id=origin_id)
    assert second == first
    assert (second.text, second.random_id, second.state) == ("first", first.random_id, State.QUEUED)
    assert first.random_id != 0


def test_a_text_is_queued_as_telegram_will_keep_it(origin):
    typed = " Two\r\nlines\tand\x00more \r\n"
    delivery = ledger.queue_line(ledger.make_bot(), ledger.make_campaign(), ledger.make_chat(), typed)
    assert delivery.text == "Two\nlines and more"


def test_a_delivery_goes_to_a_chat_or_to_a_person(origin):
    bot, campaign, chat = ledger.make_bot(), ledger.make_campaign(), ledger.make_chat()
    with pytest.raises(IntegrityError), transaction.atomic():
        ledger.queue_line(bot, campaign, chat, peer_id=5)
    with pytest.raises(IntegrityError), transaction.atomic():
        ledger.queue_message(bot, campaign, None)


def test_usernames_are_kept_without_the_at_sign(origin):
    delivery = ledger.queue_message(ledger.make_bot(), ledger.make_campaign(), None, peer_username="@Maria")
    assert delivery.peer_username == "Maria"


@pytest.mark.django_db(transaction=True)
def test_senders_are_notified_of_a_delivery_on_commit_and_not_on_rollback(origin):
    bot, campaign, chat = ledger.make_bot(), ledger.make_campaign(), ledger.make_chat()
    with connect_direct("tests") as listening:
        listening.execute("LISTEN deliveries")
        with pytest.raises(LookupError), transaction.atomic():
            ledger.queue_line(bot, campaign, chat)
            raise LookupError
        with transaction.atomic():
            ledger.queue_line(bot, campaign, chat)
            ledger.queue_line(bot, campaign, chat)
        notes = list(listening.notifies(timeout=60, stop_after=1))
        assert len(notes) == 1
        assert list(listening.notifies(timeout=0.1)) == []


def test_cancelling_settles_what_is_queued_and_leaves_what_is_leaving(origin):
    bot, campaign, chat = ledger.make_bot(), ledger.make_campaign(), ledger.make_chat()
    leaving = ledger.queue_line(bot, campaign, chat, "first")
    queued = ledger.queue_line(bot, campaign, chat, "second")
    assert [out.id for out in claim(ledger.owners(bot, chats=[chat]), clock=ledger.Clock()).outgoing] == [leaving.id]
    ids = [leaving.origin_id, queued.origin_id]
    assert deliveries_leaving(origin=ledger.ORIGIN, origin_ids=ids) == 1
    assert deliveries_cancel(origin=ledger.ORIGIN, origin_ids=ids, reason="stopped") == 1
    assert deliveries_cancel(origin=ledger.ORIGIN, origin_ids=ids, reason="stopped") == 0
    queued.refresh_from_db()
    assert (queued.state, queued.error) == (State.CANCELLED, "stopped")
    assert origin.settled == [(queued.id, State.CANCELLED)]
    assert deliveries_leaving(campaign_id=campaign.id) == deliveries_leaving(bot_id=bot.id) == 1


def test_cancelling_for_a_person_finds_them_by_id_and_by_name(origin):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    by_id = ledger.queue_message(bot, campaign, 77)
    by_name = ledger.queue_message(bot, campaign, None, peer_username="Maria", purpose=Purpose.FIRST_CONTACT)
    other = ledger.queue_message(bot, campaign, 78, peer_username="mario")
    assert deliveries_cancel_for_person(telegram_user_id=77, username="@MARIA", reason="stop") == 2
    states = [Delivery.objects.get(id=delivery.id).state for delivery in (by_id, by_name, other)]
    assert states == [State.CANCELLED, State.CANCELLED, State.QUEUED]
    assert deliveries_cancel_for_person(telegram_user_id=None, username="", reason="nobody") == 0


def test_a_second_final_state_changes_and_settles_nothing(origin):
    bot, campaign, chat = ledger.make_bot(), ledger.make_campaign(), ledger.make_chat()
    delivery = ledger.queue_line(bot, campaign, chat)
    claim(ledger.owners(bot, chats=[chat]), clock=ledger.Clock())
    said: dict[str, Any] = {"delivery_id": delivery.id, "was": State.SENDING, "epoch": 1, "state": State.SENT}
    facts: dict[str, Any] = {"telegram_message_id": 5, "sent_at": ledger.START}
    assert delivery_finish(**said, **facts)
    assert not delivery_finish(**said, **{**facts, "telegram_message_id": 6})
    assert not delivery_finish(delivery_id=delivery.id, was=State.SENDING, epoch=1, state=State.FAILED)
    assert origin.settled == [(delivery.id, State.SENT)]
    delivery.refresh_from_db()
    assert delivery.telegram_message_id == 5


def test_a_former_owner_cannot_write_the_outcome(origin):
    bot, campaign, chat = ledger.make_bot(), ledger.make_campaign(), ledger.make_chat()
    delivery = ledger.queue_line(bot, campaign, chat)
    claim(ledger.owners(bot, chats=[chat]), clock=ledger.Clock())
    assert not delivery_finish(delivery_id=delivery.id, was=State.SENDING, epoch=0, state=State.FAILED)
    assert origin.settled == []


def test_an_origin_that_fails_to_settle_undoes_the_final_state(origin):
    bot, campaign, chat = ledger.make_bot(), ledger.make_campaign(), ledger.make_chat()
    delivery = ledger.queue_line(bot, campaign, chat)
    claim(ledger.owners(bot, chats=[chat]), clock=ledger.Clock())
    origin.failing = True
    with pytest.raises(RuntimeError):
        delivery_finish(delivery_id=delivery.id, was=State.SENDING, epoch=1, state=State.FAILED)
    delivery.refresh_from_db()
    assert delivery.state == State.SENDING
