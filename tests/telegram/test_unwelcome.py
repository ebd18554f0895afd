"""An account that was removed from a chat, on a Telegram that tells nobody."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bots import membership
from bots.models import Cursor, Presence
from campaigns.models import Chat, ChatPermission
from campaigns.selectors import is_permitted
from campaigns.services import permission_grant, permission_resume
from tests.support import wait_until
from tests.telegram.bots_support import Company, Listener, company_with

PARSE = ChatPermission.Grant.PARSE


class PermittedListener(Listener):
    """As the rooms above: wants the chats whose owners permit it."""

    def chats(self, bot_id: UUID) -> list[Chat]:
        return [chat for chat in super().chats(bot_id) if is_permitted(chat_id=chat.pk, purpose=PARSE)]


@pytest.fixture
def company(key_dir: Path, settings: Any, transactional_db: None) -> Iterator[Company]:
    with company_with(PermittedListener(), key_dir, settings) as company:
        yield company


@pytest.mark.parametrize("notices", ["at the next connection", "at the next look"])
def test_a_removed_account_does_not_enter_again_before_an_operator_says_so(company: Company, monkeypatch, notices):
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

    company.sandbox.call(company.world.leave, anna.telegram_user_id, there.id)
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
