"""An account that was removed from a chat, on a Telegram that tells nobody."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bots.models import Cursor, Incident, Presence
from bots.worker import membership
from campaigns.models import Chat, ChatPermission
from campaigns.permissions.services import permission_grant, permission_resume
from campaigns.permissions.validity import is_permitted
from sandbox.world.actions.membership import join, leave
from sandbox.world.faults import Fault
from telegram import dialogs
from tests.support import wait_until
from tests.telegram.bots_support import Company, Listener, company_with, events

PARSE = ChatPermission.Grant.PARSE


class PermittedListener(Listener):
    """As the rooms above: wants the chats whose owners permit it."""

    def chats(self, bot_id: UUID) -> list[Chat]:
        return [chat for chat in super().chats(bot_id) if is_permitted(chat_id=chat.pk, purpose=PARSE)]


@pytest.fixture
def company(key_dir: Path, settings: Any, transactional_db: None, monkeypatch) -> Iterator[Company]:
    monkeypatch.setattr("bots.worker.serving.CHATS_SECONDS", 0.2)
    with company_with(PermittedListener(), key_dir, settings) as company:
        yield company


@pytest.mark.parametrize("notices", ["at the next connection", "at the next look"])
def test_a_removed_account_does_not_join_again_before_an_operator_allows_it(company: Company, monkeypatch, notices):
    if notices == "at the next look":
        monkeypatch.setattr(membership, "DIALOGS_SECONDS", 0.0)
    there, chat = company.make_chat("square")
    permission = permission_grant(chat_id=chat.id, purpose=PARSE, granted_by="Pavel", evidence="a letter")
    anna = company.make_bot("anna", chat)
    company.run(company.start(), anna)
    company.online(anna)
    company.say(there, "one")
    company.until_heard(anna, 1)
    assert Presence.objects.filter(bot=anna, chat=chat).exists()

    company.sandbox.call(leave, company.world, anna.telegram_user_id, there.id)
    if notices == "at the next connection":
        company.sandbox.call(company.sandbox.mtproto.drop_everyone)
    wait_until(lambda: not is_permitted(chat_id=chat.id, purpose=PARSE), what="the permission is suspended")
    permission.refresh_from_db()
    assert permission.suspended_reason == "anna is not in the chat any more"
    wait_until(lambda: not Cursor.objects.filter(bot=anna).exists(), what="the chat is not wanted any more")
    company.say(there, "two")
    assert anna.telegram_user_id not in there.members

    permission_resume(permission_id=permission.pk)
    wait_until(lambda: anna.telegram_user_id in there.members, what="it enters again")
    wait_until(lambda: Presence.objects.filter(bot=anna, chat=chat).exists())
    company.say(there, "three")
    assert company.until_heard(anna, 2) == ["one", "three"]
    assert is_permitted(chat_id=chat.id, purpose=PARSE)


def permitted(company: Company, name: str, **values: Any) -> tuple[Any, Chat]:
    there, chat = company.make_chat(name, **values)
    permission_grant(chat_id=chat.id, purpose=PARSE, granted_by="Pavel", evidence="a letter")
    return there, chat


def test_a_chat_that_the_list_lacks_is_no_removal(company: Company, monkeypatch):
    """The list is read once, in pages of one, and the chat moves up between two of them."""
    monkeypatch.setattr(membership, "DIALOGS_SECONDS", 0.0)
    monkeypatch.setattr(dialogs, "PAGE", 1)
    monkeypatch.setattr(dialogs, "ROUNDS", 0)
    (square, chat), (market, other) = permitted(company, "square"), permitted(company, "market")
    anna = company.make_bot("anna", chat, other)
    company.run(company.start(), anna)
    company.online(anna)
    company.say(square, "one")
    company.say(market, "two")
    company.until_heard(anna, 2)
    move = Fault(kind="DIALOG_MOVES", user=anna.telegram_user_id, chat=square.id)
    company.sandbox.call(company.sandbox.faults.plan, move)
    company.look_again(anna)
    wait_until(lambda: not company.sandbox.faults.as_json(), what="the chat moves up")
    company.look_again(anna)
    assert is_permitted(chat_id=chat.id, purpose=PARSE)
    assert Presence.objects.filter(bot=anna, chat=chat).exists()
    assert not Incident.objects.exists()
    company.say(square, "three")
    assert company.until_heard(anna, 4)[-1] == "three"
    # Once it has been removed Telegram says so, for this chat.
    company.sandbox.call(leave, company.world, anna.telegram_user_id, square.id)
    wait_until(lambda: not is_permitted(chat_id=chat.id, purpose=PARSE), what="the permission is suspended")
    assert is_permitted(chat_id=other.id, purpose=PARSE)


def test_what_to_do_about_a_basic_group_that_the_account_is_not_in_is_reported_once(company: Company):
    yard, chat = permitted(company, "yard", kind="group")
    Chat.objects.filter(pk=chat.pk).update(reference=str(yard.id))
    anna = company.make_bot("anna", chat)
    company.run(company.start(), anna)
    company.online(anna)
    for _ in range(2):
        # Something has changed in the account's chats: it looks again.
        company.say(anna.telegram_user_id, "Who are you?")
        company.look_again(anna)
    [told] = events("bots.error")
    assert "add the account to the group in Telegram" in told
    assert company.state(anna)[0] == "online"
    company.sandbox.call(join, company.world, anna.telegram_user_id, yard.id, announce="joined")
    wait_until(lambda: Presence.objects.filter(bot=anna, chat=chat).exists(), what="it is in the group")
    wait_until(lambda: not Incident.objects.exists(), what="the incident is over")
    company.say(yard, "Welcome")
    assert company.until_heard(anna, 1)[-1] == "Welcome"
