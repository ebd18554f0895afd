"""Edits, deletions and reactions in the chat reach the ledger: live, and after a time without a connection."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bots.gate.origins import register_origin
from bots.models import Bot, BotBlock, Delivery
from campaigns.models import Chat, ChatPermission, Purpose
from campaigns.permissions.services import permission_grant
from sandbox.world.actions import message_changes
from sandbox.world.faults import Fault
from tests.integration import ledger
from tests.support import wait_until
from tests.telegram.bots_support import Company, Listener, company_with

KINDS = ["supergroup", "group", "private"]


@pytest.fixture
def company(key_dir: Path, settings: Any, transactional_db: None) -> Iterator[Company]:
    ledger.noting_origin()
    # As actors do, they read nothing.
    with company_with(Listener(reads_chats=False), key_dir, settings) as company:
        yield company


def queued(company: Company, bot: Bot, chat: Chat | None, text: str) -> Delivery:
    if chat is not None:
        return ledger.queue_line(bot, ledger.make_campaign(), chat, text)
    facts = {"purpose": Purpose.REPLY, "peer_username": "pavel_here"}
    return ledger.queue_message(bot, ledger.make_campaign(), company.pavel.id, text, **facts)


def place(company: Company, kind: str) -> Chat | None:
    if kind == "private":
        return None
    _, chat = company.make_chat("square", kind=kind)
    permission_grant(chat_id=chat.id, purpose=ChatPermission.Grant.SCRIPT, granted_by="Pavel", evidence="a letter")
    return chat


def until(delivery: Delivery, **wanted: Any) -> None:
    def so() -> bool:
        delivery.refresh_from_db()
        return all(getattr(delivery, name) == value for name, value in wanted.items())

    wait_until(so, what=f"{wanted}")


def until_deleted(delivery: Delivery) -> None:
    def gone() -> bool:
        delivery.refresh_from_db()
        return delivery.deleted_at is not None

    wait_until(gone, what="the deletion")


def do(company: Company, what: Any, **values: Any) -> None:
    company.sandbox.call(lambda: what(company.world, **values))


def story(delivery: Delivery) -> list[str]:
    return list(delivery.events.order_by("at", "id").values_list("kind", flat=True))


@pytest.mark.parametrize("kind", KINDS)
def test_what_happens_to_a_message_is_kept_with_its_delivery(company: Company, kind: str):
    chat = place(company, kind)
    anna = company.make_bot("anna", *([chat] if chat else []))
    company.run(company.start(), anna)
    company.online(anna)
    delivery = queued(company, anna, chat, "Helo")
    until(delivery, state="sent")
    [entry] = company.world.ledger
    do(company, message_changes.react, user_id=company.pavel.id, seq=entry.seq, emoji="👍")
    until(delivery, reactions="👍 1")
    do(company, message_changes.edit, user_id=anna.telegram_user_id, seq=entry.seq, text="Hello")
    until(delivery, edited_text="Hello")
    do(company, message_changes.delete_for_all, seq=entry.seq)
    until_deleted(delivery)
    assert (delivery.text, delivery.state) == ("Helo", "sent")
    assert set(story(delivery)) == {"reacted", "edited", "deleted"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_happened_while_nobody_was_connected_is_found_later(company: Company, kind: str):
    chat = place(company, kind)
    anna = company.make_bot("anna", *([chat] if chat else []))
    runtime = company.start()
    [task] = company.run(runtime, anna)
    company.online(anna)
    first, second = queued(company, anna, chat, "One"), queued(company, anna, chat, "Two")
    until(first, state="sent")
    until(second, state="sent")
    runtime.sessions[anna.pk].stop()
    task.join(60)
    opening, closing = company.world.ledger
    do(company, message_changes.edit, user_id=anna.telegram_user_id, seq=opening.seq, text="Won")
    do(company, message_changes.react, user_id=company.pavel.id, seq=opening.seq, emoji="❤")
    do(company, message_changes.delete_for_all, seq=closing.seq)
    company.run(runtime, anna)
    until(first, edited_text="Won", reactions="❤ 1")
    until_deleted(second)


def test_a_bot_in_the_same_supergroup_notices_for_the_one_that_is_away(company: Company):
    chat = place(company, "supergroup")
    assert chat is not None
    anna, boris = company.make_bot("anna", chat), company.make_bot("boris", chat)
    runtime = company.start()
    anna_task, _ = company.run(runtime, anna, boris)
    company.online(anna, boris)
    delivery = queued(company, anna, chat, "Hello")
    until(delivery, state="sent")
    runtime.sessions[anna.pk].stop()
    anna_task.join(60)
    do(company, message_changes.delete_for_all, seq=company.world.ledger[0].seq)
    until_deleted(delivery)


def test_a_message_deleted_before_it_is_recorded_as_sent_is_found(company: Company):
    chat = place(company, "supergroup")
    assert chat is not None
    anna = company.make_bot("anna", chat)
    runtime = company.start()
    company.run(runtime, anna)
    company.online(anna)

    class Moderated(ledger.NotingOrigin):
        """While it settles, a moderator's program deletes the message, and the bot looks for it in vain."""

        def settle(self, delivery: Delivery, *, now: datetime) -> None:
            do(company, message_changes.delete_for_all, seq=1)
            wait_until(lambda: runtime.sessions[anna.pk]._changes._again, what="the first look")

    register_origin(ledger.ORIGIN, Moderated())
    delivery = queued(company, anna, chat, "Buy now")
    until_deleted(delivery)


def test_a_flood_wait_during_a_look_back_is_obeyed(company: Company):
    chat = place(company, "supergroup")
    assert chat is not None
    anna = company.make_bot("anna", chat)
    runtime = company.start()
    [task] = company.run(runtime, anna)
    company.online(anna)
    delivery = queued(company, anna, chat, "Hello")
    until(delivery, state="sent")
    runtime.sessions[anna.pk].stop()
    task.join(60)
    company.sandbox.faults.plan(Fault(kind="FLOOD_WAIT", method="channels.getMessages", seconds=300))
    company.run(runtime, anna)
    wait_until(lambda: BotBlock.objects.filter(bot=anna, method="GetMessages").exists(), what="the block")
    company.online(anna)
    after = queued(company, anna, chat, "It speaks on")
    until(after, state="sent")
