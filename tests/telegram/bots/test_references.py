"""References that operators change, looked up by accounts on a Telegram that answers as the real one does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bots.models import Bot, Delivery, Incident, Presence
from bots.worker import reference_confirming
from campaigns.chats.references import reference_change
from campaigns.models import UNSEEN_CHAT, Chat, ChatPermission
from campaigns.permissions.validity import is_permitted, permissions_given
from messaging.database.clock import database_clock
from sandbox.world.actions import membership
from sandbox.world.faults import Fault
from telegram.client import TelegramAccount
from tests.integration import ledger
from tests.support import wait_until
from tests.telegram.bots.test_chat_identity import PARSE, SCRIPT, permit, suspended
from tests.telegram.bots_support import Company, Listener, company_with, events


class GivenListener(Listener):
    """As the rooms above: wants the chats that are permitted, also those that wait for a confirmation."""

    def chats(self, bot_id: Any) -> list[Chat]:
        given = permissions_given(purpose=PARSE, now=database_clock()).values_list("chat_id", flat=True)
        return [chat for chat in super().chats(bot_id) if chat.pk in set(given)]


@pytest.fixture
def company(key_dir: Path, settings: Any, transactional_db: None, monkeypatch) -> Iterator[Company]:
    ledger.noting_origin()
    monkeypatch.setattr("bots.worker.serving.CHATS_SECONDS", 0.2)
    with company_with(GivenListener(), key_dir, settings) as company:
        yield company


@pytest.fixture
def square(company: Company) -> tuple[Any, Chat]:
    there, chat = company.make_chat("square")
    permit(chat)
    return there, chat


def online(company: Company, name: str, *chats: Chat) -> Bot:
    bot = company.make_bot(name, *chats)
    company.run(company.start(name), bot)
    company.online(bot)
    return bot


def private(company: Company, name: str, kind: str = "supergroup") -> Any:
    """Another chat, which is found by its invite link alone."""
    return company.sandbox.call(
        company.world.add_chat, kind=kind, title=name, invite_hash=f"Private{name}", members=[company.pavel.id]
    )


def waits(chat: Chat) -> bool:
    return Chat.objects.filter(pk=chat.pk, reference_changed_at__isnull=False).exists()


def until_confirmed(chat: Chat) -> None:
    wait_until(lambda: not waits(chat), what="the reference is confirmed")
    assert not suspended(chat)


def until_suspended(chat: Chat) -> Chat:
    wait_until(lambda: suspended(chat), what="the permissions are suspended")
    return Chat.objects.get(pk=chat.pk)


def test_another_way_to_the_same_chat_is_confirmed_and_nothing_is_lost_meanwhile(company: Company, square, monkeypatch):
    there, chat = square
    anna = online(company, "anna", chat)
    company.say(there, "one")
    company.until_heard(anna, 1)
    monkeypatch.setattr(reference_confirming, "references_to_check", lambda **_: [])
    reference_change(chat_id=chat.pk, reference=there.invite_link)
    company.look_again(anna)
    company.say(there, "two")
    line = ledger.queue_line(anna, ledger.make_campaign(), chat, "A line")
    wait_until(lambda: Delivery.objects.get(pk=line.pk).waiting_reason, what="the line waits")
    assert "no account has confirmed yet that the reference" in Delivery.objects.get(pk=line.pk).waiting_reason
    assert company.role.texts(anna) == ["one"] and waits(chat)

    monkeypatch.undo()
    monkeypatch.setattr("bots.worker.serving.CHATS_SECONDS", 0.2)
    until_confirmed(chat)
    assert company.until_heard(anna, 2)[:2] == ["one", "two"]
    wait_until(lambda: Delivery.objects.get(pk=line.pk).state == Delivery.State.SENT, what="the line is sent")
    assert [entry.peer for entry in company.world.ledger if entry.text == "A line"] == [there.id]


def test_a_link_into_a_chat_that_no_account_is_in_is_found_out_without_joining_it(company: Company, square):
    there, chat = square
    online(company, "anna", chat)
    other = private(company, "garden")
    reference_change(chat_id=chat.pk, reference=other.invite_link)
    chat = until_suspended(chat)
    assert (chat.telegram_id, chat.reference_leads_to) == (there.id, UNSEEN_CHAT)
    assert list(other.members) == [company.pavel.id]
    [told] = events("bots.error")
    assert "leads to another chat “garden”" in told and "joined" not in told


@pytest.mark.parametrize("how", ["anna is in both", "its link lets people look in"])
def test_a_link_into_a_chat_that_shows_itself_is_found_out_by_its_id(company: Company, square, how: str):
    _, chat = square
    anna = online(company, "anna", chat)
    other = private(company, "garden")
    other.peek = how != "anna is in both"
    if not other.peek:
        company.sandbox.call(membership.join, company.world, anna.telegram_user_id, other.id)
    reference_change(chat_id=chat.pk, reference=other.invite_link)
    assert until_suspended(chat).reference_leads_to == other.id


def test_without_an_account_inside_it_waits_until_one_is_added_by_hand(company: Company, square, monkeypatch):
    there, chat = square
    Chat.objects.filter(pk=chat.pk).update(telegram_id=there.id, kind="supergroup")
    monkeypatch.setattr(reference_confirming, "AGAIN_SECONDS", 0.0)
    reference_change(chat_id=chat.pk, reference=there.invite_link)
    anna = online(company, "anna", chat)
    wait_until(lambda: Incident.objects.filter(key=f"unconfirmed:{chat.pk}").exists(), what="it is reported")
    assert "account anna cannot see where" in Incident.objects.get(key=f"unconfirmed:{chat.pk}").reason
    company.look_again(anna)
    assert anna.telegram_user_id not in there.members and waits(chat)
    company.sandbox.call(membership.join, company.world, anna.telegram_user_id, there.id)
    until_confirmed(chat)
    wait_until(lambda: Presence.objects.filter(bot=anna, chat=chat).exists(), what="it is in its chat")


def test_an_account_removed_from_the_chat_cannot_confirm_and_the_permission_is_suspended(company: Company, square):
    there, chat = square
    anna = online(company, "anna", chat)
    link = there.invite_link
    company.sandbox.call(membership.leave, company.world, anna.telegram_user_id, there.id)
    reference_change(chat_id=chat.pk, reference=link)
    chat = until_suspended(chat)
    assert (chat.reference_leads_to, waits(chat)) == (None, True)
    assert not Presence.objects.filter(chat=chat).exists()
    assert all(
        "is not in the chat any more" in permission.suspended_reason for permission in ChatPermission.objects.all()
    )


def test_a_name_is_looked_up_by_an_account_that_is_to_join(company: Company, square):
    there, chat = square
    Chat.objects.filter(pk=chat.pk).update(telegram_id=there.id, kind="supergroup", reference=there.invite_link)
    reference_change(chat_id=chat.pk, reference="@chat_square")
    anna = online(company, "anna", chat)
    until_confirmed(chat)
    wait_until(lambda: anna.telegram_user_id in there.members, what="it joins")


@pytest.mark.parametrize("kind", ["supergroup", "group"])
def test_who_has_joined_another_chat_by_a_link_leaves_it_again(company: Company, square, kind: str):
    """A row whose link was edited before changes were confirmed."""
    there, chat = square
    other = private(company, "garden", kind)
    Chat.objects.filter(pk=chat.pk).update(
        telegram_id=there.id, kind="supergroup", reference=other.invite_link, reference_changed_at=None
    )
    anna = company.make_bot("anna", chat)
    company.run(company.start(), anna)
    assert until_suspended(chat).reference_leads_to == other.id
    assert anna.telegram_user_id not in other.members
    said = [message for box in company.world.boxes.values() for message in box.messages.values()]
    assert any(message.action == "joined_by_link" for message in said)
    [told] = events("bots.error")
    assert "joined that chat by the link and has left it again" in told


def test_who_was_in_the_other_chat_before_stays_there_and_that_is_reported(company: Company, square):
    there, chat = square
    other = private(company, "garden")
    Chat.objects.filter(pk=chat.pk).update(telegram_id=there.id, kind="supergroup", reference=other.invite_link)
    anna = company.make_bot("anna", chat)
    company.sandbox.call(membership.join, company.world, anna.telegram_user_id, other.id)
    company.run(company.start(), anna)
    until_suspended(chat)
    assert anna.telegram_user_id in other.members
    assert "The account is in that chat: leave it in Telegram's app" in events("bots.error")[0]


def test_a_reference_that_is_changed_while_an_account_joins_by_it_is_left_again(company: Company, monkeypatch):
    """Nobody knew the chat's id yet: what was joined is not it any more."""
    there, chat = company.make_chat("square")
    other = private(company, "garden")
    Chat.objects.filter(pk=chat.pk).update(reference=other.invite_link)
    permit(chat)
    joined = TelegramAccount.join

    async def while_it_joins(account: TelegramAccount, reference: str, known_id: int | None = None) -> Any:
        found = await joined(account, reference, known_id)
        await reference_confirming.in_db(reference_change, chat_id=chat.pk, reference=there.invite_link)
        return found

    monkeypatch.setattr(TelegramAccount, "join", while_it_joins)
    monkeypatch.setattr("bots.worker.membership.REFUSED_SECONDS", 0.0)
    anna = online(company, "anna", chat)
    wait_until(lambda: anna.telegram_user_id in there.members, what="it joins the chat that is meant")
    wait_until(lambda: Chat.objects.get(pk=chat.pk).telegram_id == there.id, what="the id is known")
    assert list(other.members) == [company.pavel.id]


def test_who_is_not_let_go_is_reported(company: Company, square):
    there, chat = square
    other = private(company, "garden")
    Chat.objects.filter(pk=chat.pk).update(telegram_id=there.id, kind="supergroup", reference=other.invite_link)
    company.sandbox.faults.plan(Fault(kind="PEER_FLOOD", method="channels.leaveChannel"))
    anna = company.make_bot("anna", chat)
    company.run(company.start(), anna)
    until_suspended(chat)
    assert anna.telegram_user_id in other.members
    assert "could not leave it: leave it in Telegram's app" in events("bots.error")[0]


def test_an_account_that_is_banned_while_it_looks_confirms_nothing_and_another_one_does(company: Company, square):
    there, chat = square
    anna, boris = online(company, "anna", chat), online(company, "boris", chat)
    for bot in (anna, boris):
        fault = Fault(kind="USER_DEACTIVATED_BAN", method="messages.checkChatInvite", user=bot.telegram_user_id)
        company.sandbox.faults.plan(fault)
    reference_change(chat_id=chat.pk, reference=there.invite_link)
    for bot in (anna, boris):
        company.until_state(bot, "banned")
    assert waits(chat) and not is_permitted(chat_id=chat.pk, purpose=SCRIPT) and not suspended(chat)
    vera = company.make_bot("vera", chat)
    company.sandbox.call(membership.join, company.world, vera.telegram_user_id, there.id)
    company.run(company.start("third"), vera)
    until_confirmed(chat)


def test_an_answer_that_arrives_after_the_next_change_confirms_nothing(company: Company, square, monkeypatch):
    there, chat = square
    online(company, "anna", chat)
    other, looked = private(company, "garden"), TelegramAccount.check_reference
    changes = iter([other.invite_link])

    async def while_it_looks(account: TelegramAccount, reference: str, known_id: int) -> Any:
        found = await looked(account, reference, known_id)
        for link in changes:
            await reference_confirming.in_db(reference_change, chat_id=chat.pk, reference=link)
        return found

    confirmed, said = [], reference_confirming.reference_confirmed

    def noted(**asked: Any) -> bool:
        confirmed.append((asked["reference"], said(**asked)))
        return confirmed[-1][1]

    monkeypatch.setattr(TelegramAccount, "check_reference", while_it_looks)
    monkeypatch.setattr(reference_confirming, "reference_confirmed", noted)
    reference_change(chat_id=chat.pk, reference=there.invite_link)
    until_suspended(chat)
    assert confirmed == [(there.invite_link, False)]
    assert not ChatPermission.objects.filter(chat=chat, suspended_at=None).exists()


def test_a_wait_of_telegrams_is_kept(company: Company, square):
    there, chat = square
    anna = online(company, "anna", chat)
    company.sandbox.faults.plan(Fault(kind="FLOOD_WAIT", method="messages.checkChatInvite", seconds=300))
    reference_change(chat_id=chat.pk, reference=there.invite_link)
    company.until_state(anna, "waiting")
    assert waits(chat)
