"""Which chat is meant: names that somebody else has taken over, and groups that became supergroups, on a Telegram that
shows both as the real one does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bots.models import Cursor, Delivery, Incident, Presence
from bots.worker import membership
from campaigns.chats.references import reference_change, reference_check_again
from campaigns.models import Chat, ChatPermission
from campaigns.permissions.services import permission_grant, permission_resume
from campaigns.permissions.validity import is_permitted
from panelkit.errors import NotPossible
from sandbox.world.actions import usernames
from sandbox.world.actions.membership import leave
from sandbox.world.actions.upgrades import upgrade
from tests.integration import ledger
from tests.support import wait_until
from tests.telegram.bots_support import Company, Listener, company_with, events

PARSE, SCRIPT = ChatPermission.Grant.PARSE, ChatPermission.Grant.SCRIPT


class PermittedListener(Listener):
    """As the rooms above: wants the chats whose owners permit it."""

    def chats(self, bot_id: UUID) -> list[Chat]:
        return [chat for chat in super().chats(bot_id) if is_permitted(chat_id=chat.pk, purpose=PARSE)]


@pytest.fixture
def company(key_dir: Path, settings: Any, transactional_db: None, monkeypatch) -> Iterator[Company]:
    ledger.noting_origin()
    monkeypatch.setattr("bots.worker.serving.CHATS_SECONDS", 0.2)
    with company_with(PermittedListener(), key_dir, settings) as company:
        yield company


def permit(chat: Chat) -> ChatPermission:
    for purpose in (SCRIPT, PARSE):
        given = permission_grant(chat_id=chat.id, purpose=purpose, granted_by="Pavel", evidence="a letter")
    return given


@pytest.mark.parametrize("who", ["a member, by the list of its chats", "an account that is to join"])
def test_a_name_that_somebody_took_over_takes_no_permission_with_it(company: Company, monkeypatch, who: str):
    there, chat = company.make_chat("square")
    permission = permit(chat)
    anna = company.make_bot("anna", chat)
    company.run(company.start(), anna)
    company.online(anna)
    company.say(there, "one")
    company.until_heard(anna, 1)
    thief, _ = company.make_chat("thief")

    company.sandbox.call(usernames.hand_over, company.world, "chat_square", thief.id)
    if who == "an account that is to join":
        boris = company.make_bot("boris", chat)
        company.run(company.start(), boris)
    else:
        monkeypatch.setattr(membership, "DIALOGS_SECONDS", 0.0)
    wait_until(lambda: not is_permitted(chat_id=chat.id, purpose=PARSE), what="the permission is suspended")
    assert not is_permitted(chat_id=chat.id, purpose=SCRIPT)
    chat.refresh_from_db()
    permission.refresh_from_db()
    assert (chat.telegram_id, chat.reference_leads_to) == (there.id, thief.id)
    assert f"@chat_square led to another chat, not to “{chat}”" in permission.suspended_reason
    wait_until(lambda: not Cursor.objects.filter(peer_id__lt=0).exists(), what="nothing is read any more")
    company.say(thief, "read me")
    company.say(there, "two")
    line = ledger.queue_line(anna, ledger.make_campaign(), chat, "A line")
    wait_until(lambda: Delivery.objects.get(pk=line.pk).waiting_reason, what="the line waits")
    assert "led to another chat" in Delivery.objects.get(pk=line.pk).waiting_reason
    assert list(thief.members) == [company.pavel.id]
    assert len([body for body in events("bots.error") if "leads to another chat" in body]) == 1
    with pytest.raises(NotPossible, match="correct the reference of “square”"):
        permission_resume(permission_id=permission.pk)

    reference_change(chat_id=chat.pk, reference=there.invite_link)
    for suspended in ChatPermission.objects.filter(chat=chat):
        permission_resume(permission_id=suspended.pk)
    wait_until(lambda: Cursor.objects.filter(peer_id=there.id).exists(), what="it is read again")
    company.say(there, "three")
    wait_until(lambda: "three" in company.role.texts(anna), what="it is heard again")
    # Her own line may be among them: it is sent as soon as she is in the chat again.
    assert "two" not in company.role.texts(anna)
    wait_until(lambda: Delivery.objects.get(pk=line.pk).state == Delivery.State.SENT, what="the line is sent")
    assert [entry.peer for entry in company.world.ledger if entry.text == "A line"] == [there.id]


def test_a_permission_that_is_resumed_while_the_name_leads_elsewhere_is_suspended_again(company: Company, monkeypatch):
    monkeypatch.setattr(membership, "DIALOGS_SECONDS", 0.0)
    there, chat = company.make_chat("square")
    permission = permit(chat)
    anna = company.make_bot("anna", chat)
    company.run(company.start(), anna)
    company.online(anna)
    thief, _ = company.make_chat("thief")
    company.sandbox.call(usernames.hand_over, company.world, "chat_square", thief.id)
    wait_until(lambda: not is_permitted(chat_id=chat.id, purpose=PARSE), what="the permission is suspended")
    wait_until(lambda: not Cursor.objects.filter(peer_id__lt=0).exists(), what="nothing is read any more")
    reference_check_again(chat_id=chat.pk)
    permission_resume(permission_id=permission.pk)
    wait_until(lambda: suspended(chat), what="the permission is suspended again")
    assert Chat.objects.get(pk=chat.pk).telegram_id == there.id
    assert list(thief.members) == [company.pavel.id]


def suspended(chat: Chat) -> bool:
    return ChatPermission.objects.filter(chat=chat, suspended_at__isnull=False).exists()


def test_a_reference_that_an_operator_changes_is_followed_at_once(company: Company):
    """The permission on record may be the other chat's owner's: nothing is sent to the chat from before meanwhile."""
    there, chat = company.make_chat("square")
    permit(chat)
    anna = company.make_bot("anna", chat)
    company.run(company.start(), anna)
    company.online(anna)
    other, row = company.make_chat("garden")
    row.delete()
    reference_change(chat_id=chat.pk, reference="@chat_garden")
    assert not is_permitted(chat_id=chat.id, purpose=SCRIPT)
    wait_until(lambda: suspended(chat), what="the permission is suspended")
    chat.refresh_from_db()
    assert (chat.telegram_id, chat.reference_leads_to) == (there.id, other.id)


def test_a_name_that_is_only_given_up_is_reported_and_nothing_else(company: Company, monkeypatch):
    monkeypatch.setattr(membership, "DIALOGS_SECONDS", 0.0)
    there, chat = company.make_chat("square")
    permit(chat)
    anna = company.make_bot("anna", chat)
    company.run(company.start(), anna)
    company.online(anna)
    company.sandbox.call(usernames.rename, company.world, there.id, None)
    wait_until(lambda: Incident.objects.filter(key=f"name:{chat.pk}").exists(), what="it is reported")
    company.say(there, "Still here")
    assert company.until_heard(anna, 1) == ["Still here"]
    assert is_permitted(chat_id=chat.id, purpose=PARSE)


def test_two_rows_that_are_one_chat_are_named_to_the_operator(company: Company):
    there, chat = company.make_chat("square")
    twin = Chat.objects.create(key="twin", reference=there.invite_link)
    permit(chat)
    permit(twin)
    anna = company.make_bot("anna", chat, twin)
    company.run(company.start(), anna)
    company.online(anna)
    wait_until(lambda: Incident.objects.filter(key=f"chat:{anna.pk}:{twin.pk}").exists())
    [reason] = Incident.objects.filter(key=f"chat:{anna.pk}:{twin.pk}").values_list("reason", flat=True)
    assert "and @chat_square (“square”) lead to the same Telegram chat" in reason
    company.say(there, "one")
    assert company.until_heard(anna, 1) == ["one"]


@pytest.mark.parametrize("meanwhile", ["connected", "away"])
def test_a_group_that_becomes_a_supergroup_is_read_on(company: Company, meanwhile: str):
    """Nothing is lost and nothing is read twice, and the permission holds."""
    there, chat = company.make_chat("yard", kind="group")
    permit(chat)
    anna, boris = company.make_bot("anna", chat), company.make_bot("boris", chat)
    first = company.start("first")
    company.run(first, anna, boris)
    company.online(anna, boris)
    company.say(there, "one")
    company.until_heard(anna, 1)
    company.until_heard(boris, 1)
    if meanwhile == "away":
        first.close()
        company.say(there, "two")
    new = company.sandbox.call(upgrade, company.world, there.id)
    company.say(new, "three", "four")
    if meanwhile == "away":
        company.run(company.start("second"), anna, boris)
        company.online(anna, boris)
    said = ["one", "two", "three", "four"] if meanwhile == "away" else ["one", "three", "four"]
    for bot in (anna, boris):
        assert company.until_heard(bot, len(said)) == said
    company.say(new, "live")
    for bot in (anna, boris):
        assert company.until_heard(bot, len(said) + 1) == [*said, "live"]
        assert cursors(bot) == [new.id]
        assert Presence.objects.get(bot=bot, chat=chat).peer_id == new.id
    chat.refresh_from_db()
    assert (chat.telegram_id, chat.upgraded_from_id, chat.kind) == (new.id, there.id, "supergroup")
    assert not ChatPermission.objects.filter(suspended_at__isnull=False).exists()
    assert not Incident.objects.exists()


def cursors(bot: Any) -> list[int]:
    return list(Cursor.objects.filter(bot=bot, peer_id__lt=0).values_list("peer_id", flat=True))


def test_who_was_removed_from_the_supergroup_was_removed_from_the_chat(company: Company):
    there, chat = company.make_chat("yard", kind="group")
    permit(chat)
    anna = company.make_bot("anna", chat)
    first = company.start("first")
    company.run(first, anna)
    company.online(anna)
    first.close()
    new = company.sandbox.call(upgrade, company.world, there.id)
    company.sandbox.call(leave, company.world, anna.telegram_user_id, new.id)
    company.run(company.start("second"), anna)
    wait_until(lambda: not is_permitted(chat_id=chat.id, purpose=PARSE), what="the permission is suspended")
    assert Chat.objects.get(pk=chat.pk).telegram_id == new.id
    assert anna.telegram_user_id not in new.members


@pytest.mark.parametrize("told", ["told at once", "not told"])
def test_a_play_goes_on_in_the_supergroup(company: Company, told: str, monkeypatch):
    there, chat = company.make_chat("yard", kind="group")
    permit(chat)
    anna, boris = company.make_bot("anna", chat), company.make_bot("boris", chat)
    company.role.reads_chats = False
    if told == "not told":
        monkeypatch.setattr("bots.worker.serving.Serving._on_chats_changed", lambda self, upgraded: None)
    company.run(company.start(), anna, boris)
    company.online(anna, boris)
    campaign = ledger.make_campaign()
    asked = ledger.queue_line(anna, campaign, chat, "Is it late for tulips?")
    until_sent(asked)
    new = company.sandbox.call(upgrade, company.world, there.id)
    answer = ledger.queue_line(boris, campaign, chat, "Not at all.", reply_to_id=asked.id)
    until_sent(answer)
    thanks = ledger.queue_line(anna, campaign, chat, "Thanks!", reply_to_id=answer.id)
    until_sent(thanks)
    said = company.world.ledger
    assert [(entry.text, entry.peer, entry.repeats) for entry in said] == [
        ("Is it late for tulips?", there.id, 0),
        ("Not at all.", new.id, 0),
        ("Thanks!", new.id, 0),
    ]
    assert [entry.reply_to for entry in said] == [None, None, said[1].seq]
    chat.refresh_from_db()
    assert (chat.telegram_id, chat.upgraded_from_id) == (new.id, there.id)
    assert is_permitted(chat_id=chat.id, purpose=SCRIPT)


def until_sent(delivery: Delivery) -> None:
    def state() -> tuple[str, str, str]:
        return Delivery.objects.values_list("state", "waiting_reason", "error").get(pk=delivery.pk)

    wait_until(lambda: state()[0] not in ("queued", "sending"), what="an outcome")
    assert state()[0] == "sent", state()
