"""Deliveries through the real runtime and Telethon; what counts is the sandbox's ledger of what was really said."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bots.deliveries import recovery
from bots.deliveries.queueing import deliveries_leaving
from bots.models import Bot, BotBlock, BotStateChange, Delivery
from campaigns.models import Chat, ChatPermission, Purpose
from campaigns.permissions.services import permission_grant
from campaigns.services import campaign_pause
from sandbox.world.actions import membership, sending
from sandbox.world.faults import Fault
from tests.integration import ledger
from tests.support import wait_until
from tests.telegram.bots_support import Company, Listener, company_with

State = Delivery.State


@pytest.fixture
def origin() -> ledger.NotingOrigin:
    return ledger.noting_origin()


@pytest.fixture
def company(key_dir: Path, settings: Any, transactional_db: None, origin: ledger.NotingOrigin) -> Iterator[Company]:
    with company_with(Listener(), key_dir, settings) as company:
        yield company


def permitted(company: Company, name: str, kind: str) -> tuple[Any, Chat]:
    there, chat = company.make_chat(name, kind=kind)
    permission_grant(chat_id=chat.id, purpose=ChatPermission.Grant.SCRIPT, granted_by="Pavel", evidence="a letter")
    return there, chat


def said(company: Company) -> list[Any]:
    return list(company.world.ledger)


def until_settled(*deliveries: Delivery, state: Delivery.State = State.SENT) -> None:
    def rows() -> list[tuple[str, str, str]]:
        ids = [delivery.id for delivery in deliveries]
        return list(Delivery.objects.filter(id__in=ids).values_list("state", "waiting_reason", "error"))

    def settled() -> bool:
        return all(row[0] == state for row in rows())

    try:
        wait_until(settled)
    except AssertionError as error:
        raise AssertionError(rows()) from error
    for delivery in deliveries:
        delivery.refresh_from_db()


@pytest.mark.parametrize("kind", ["supergroup", "group"])
def test_bots_answer_each_other_whatever_numbers_their_accounts_see(company: Company, kind: str):
    there, chat = permitted(company, "square", kind)
    # Private talk shifts the first bot's numbers against the second's.
    anna, boris = company.make_bot("anna", chat), company.make_bot("boris", chat)
    for number in range(3):
        company.sandbox.call(
            sending.send, company.world, user_id=company.pavel.id, peer=anna.telegram_user_id, text=f"private {number}"
        )
    company.run(company.start(), anna, boris)
    company.online(anna, boris)
    campaign = ledger.make_campaign()
    asked = ledger.queue_line(anna, campaign, chat, "Is it late for tulips?")
    answer = ledger.queue_line(boris, campaign, chat, "Not at all.", reply_to_id=asked.id)
    thanks = ledger.queue_line(anna, campaign, chat, "Thanks!", reply_to_id=answer.id)
    until_settled(asked, answer, thanks)
    lines = [entry for entry in said(company) if entry.peer == there.id]
    assert [entry.text for entry in lines] == ["Is it late for tulips?", "Not at all.", "Thanks!"]
    assert [entry.random_id for entry in lines] == [asked.random_id, answer.random_id, thanks.random_id]
    assert [entry.reply_to for entry in lines] == [None, lines[0].seq, lines[1].seq]


def test_a_first_contact_by_name_learns_who_it_is(company: Company):
    anna = company.make_bot("anna")
    company.run(company.start(), anna)
    company.online(anna)
    first = {"purpose": Purpose.FIRST_CONTACT, "peer_username": "pavel_here"}
    delivery = ledger.queue_message(anna, ledger.make_campaign(), None, ledger.DISCLOSED, **first)
    until_settled(delivery)
    assert delivery.peer_id == company.pavel.id
    assert [entry.text for entry in said(company)] == [ledger.DISCLOSED]


@pytest.mark.parametrize("kind", ["supergroup", "group"])
def test_a_lost_answer_makes_no_second_message(company: Company, kind: str, origin: ledger.NotingOrigin):
    _, chat = permitted(company, "square", kind)
    anna = company.make_bot("anna", chat)
    company.run(company.start(), anna)
    company.online(anna)
    company.sandbox.faults.plan(Fault(kind="DROP_ANSWER", user=anna.telegram_user_id))
    delivery = ledger.queue_line(anna, ledger.make_campaign(), chat, "Hello")
    until_settled(delivery)
    assert [entry.text for entry in said(company)] == ["Hello"]
    assert delivery.attempts == 2
    assert origin.settled == [(delivery.id, State.SENT)]


def test_after_a_pause_a_lost_answer_is_only_looked_up(company: Company):
    _, chat = permitted(company, "square", "supergroup")
    anna, campaign = company.make_bot("anna", chat), ledger.make_campaign()
    company.run(company.start(), anna)
    company.online(anna)
    company.sandbox.faults.plan(Fault(kind="DROP_ANSWER", user=anna.telegram_user_id))
    delivery = ledger.queue_line(anna, campaign, chat, "Hello")
    wait_until(lambda: len(said(company)) == 1)
    campaign_pause(campaign_id=campaign.id)
    until_settled(delivery)
    assert len(said(company)) == 1
    assert deliveries_leaving(campaign_id=campaign.id) == 0


def test_a_flood_wait_is_waited_out(company: Company):
    _, chat = permitted(company, "square", "supergroup")
    anna = company.make_bot("anna", chat)
    company.run(company.start(), anna)
    company.online(anna)
    company.sandbox.faults.plan(Fault(kind="FLOOD_WAIT", seconds=8, user=anna.telegram_user_id))
    delivery = ledger.queue_line(anna, ledger.make_campaign(), chat, "Hello")
    # Its record stays: the state itself is over after some seconds.
    told = BotStateChange.objects.filter(bot=anna, state="waiting")
    wait_until(told.exists, what="the bot told to wait")
    until_settled(delivery)
    company.until_state(anna, "online")
    block = BotBlock.objects.get(bot=anna)
    assert (block.method, block.reason) == ("SendMessage", "FLOOD_WAIT_8")
    assert delivery.counted_at is not None
    assert delivery.counted_at >= block.until
    assert len(said(company)) == 1


@pytest.mark.parametrize(
    ("fault", "kind"), [("CHAT_WRITE_FORBIDDEN", "chat_refuses"), ("USER_PRIVACY_RESTRICTED", "peer_refuses")]
)
def test_a_refusal_fails_the_delivery(company: Company, fault: Any, kind: str):
    _, chat = permitted(company, "square", "supergroup")
    anna = company.make_bot("anna", chat)
    company.run(company.start(), anna)
    company.online(anna)
    company.sandbox.faults.plan(Fault(kind=fault, user=anna.telegram_user_id))
    delivery = ledger.queue_line(anna, ledger.make_campaign(), chat, "Hello")
    until_settled(delivery, state=State.FAILED)
    assert (delivery.error_kind, delivery.error) == (kind, fault)
    assert said(company) == []


def test_a_person_who_blocked_the_account_is_not_written_to(company: Company):
    anna = company.make_bot("anna")
    company.run(company.start(), anna)
    company.online(anna)
    company.sandbox.call(membership.block, company.world, company.pavel.id, anna.telegram_user_id)
    facts = {"purpose": Purpose.FIRST_CONTACT, "peer_username": "pavel_here"}
    delivery = ledger.queue_message(anna, ledger.make_campaign(), None, ledger.DISCLOSED, **facts)
    until_settled(delivery, state=State.FAILED)
    assert (delivery.error_kind, delivery.error) == ("peer_refuses", "USER_IS_BLOCKED")
    assert said(company) == []


def test_a_banned_bots_message_waits_with_the_reason(company: Company, origin: ledger.NotingOrigin):
    _, chat = permitted(company, "square", "supergroup")
    anna = company.make_bot("anna", chat)
    company.run(company.start(), anna)
    company.online(anna)
    company.sandbox.faults.plan(Fault(kind="USER_DEACTIVATED_BAN", user=anna.telegram_user_id, times=None))
    delivery = ledger.queue_line(anna, ledger.make_campaign(), chat, "Hello")
    company.until_state(anna, Bot.State.BANNED)

    def waits() -> bool:
        # As beat does: Telegram may have told the ban before the message's turn came, and nobody carries the bot now.
        recovery.repair()
        delivery.refresh_from_db()
        return delivery.state == State.QUEUED and "USER_DEACTIVATED_BAN" in delivery.waiting_reason

    wait_until(waits)
    assert (said(company), origin.settled) == ([], [])
