"""A reference that an operator changes counts for nothing until an account has confirmed where it leads."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

import coolthing_site.urls  # noqa: F401  It registers the pages.
from bots.chats.identity import chat_elsewhere, lost_username_report, reference_incidents_close
from bots.chats.references import bots_to_check, references_to_check
from bots.chats.wanted import bots_wanted
from bots.deliveries.claiming import claim
from bots.deliveries.outcomes import record_refusal_of_telegram
from bots.models import Bot, BotSession, Delivery, Incident, Presence
from bots.worker.reference_confirming import report_unconfirmed
from campaigns.chats.identity import AnotherChat, chat_identify, reference_to_new_chat
from campaigns.chats.references import reference_change, reference_check_again, reference_confirmed
from campaigns.models import UNSEEN_CHAT, Chat, ChatPermission
from campaigns.permissions.services import permission_grant, permission_revoke, permissions_resume, permissions_suspend
from campaigns.permissions.validity import is_permitted
from messaging.database.clock import database_clock
from messaging.models import OutboxEvent
from panelkit.errors import NotPossible
from telegram.errors import ReferenceLeadsElsewhere
from tests.integration import ledger

pytestmark = pytest.mark.django_db
STRANGER = -1_002_100_000_778
SCRIPT, PARSE = ChatPermission.Grant.SCRIPT, ChatPermission.Grant.PARSE
LINK = "https://t.me/+AnotherLink"


@pytest.fixture(autouse=True)
def origin() -> ledger.NotingOrigin:
    return ledger.noting_origin()


@pytest.fixture
def chat() -> Chat:
    return ledger.make_chat(key="square", reference="@square")


@pytest.fixture
def operator() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return client


def changed(chat: Chat, reference: str = LINK) -> datetime:
    """When it was changed."""
    reference_change(chat_id=chat.pk, reference=reference)
    chat.refresh_from_db()
    assert chat.reference_changed_at is not None
    return chat.reference_changed_at


def save(client: Client, chat: Chat, reference: str) -> Any:
    form = {"key": chat.key, "reference": reference, "title": chat.title, "label": chat.label}
    form |= {"permissions-TOTAL_FORMS": "0", "permissions-INITIAL_FORMS": "0"}
    return client.post(reverse("admin:campaigns_chat_change", args=[chat.pk]), form)


def shown(client: Client, chat: Chat) -> str:
    return client.get(reverse("admin:campaigns_chat_change", args=[chat.pk])).content.decode()


def enter(bot: Bot, chat: Chat) -> Bot:
    BotSession.objects.get_or_create(bot=bot, defaults={"data": "a session"})
    assert chat.telegram_id is not None
    Presence.objects.create(bot=bot, chat=chat, peer_id=chat.telegram_id)
    return bot


def test_what_is_queued_waits_at_the_gate_until_an_account_has_confirmed_the_change(chat: Chat, operator: Client):
    bot = ledger.make_bot()
    line = ledger.queue_line(bot, ledger.make_campaign(), chat)
    assert save(operator, chat, LINK).status_code == 302
    assert claim(ledger.owners(bot, chats=[chat])).outgoing == []
    line.refresh_from_db()
    chat.refresh_from_db()
    at = chat.reference_changed_at
    assert at is not None and chat.reference == LINK and line.state == Delivery.State.QUEUED
    assert f"no account has confirmed yet that the reference, changed at {at:%Y-%m-%d %H:%M} UTC" in line.waiting_reason
    assert not is_permitted(chat_id=chat.pk, purpose=SCRIPT)
    assert reference_confirmed(chat_id=chat.pk, reference=LINK, changed_at=at)
    assert is_permitted(chat_id=chat.pk, purpose=SCRIPT)
    [out] = claim(ledger.owners(bot, chats=[chat])).outgoing
    assert out.id == line.id


def test_a_second_confirmation_changes_nothing(chat: Chat):
    at = changed(chat)
    asked: dict[str, Any] = {"chat_id": chat.pk, "reference": LINK, "changed_at": at}
    assert [reference_confirmed(**asked), reference_confirmed(**asked)] == [True, False]
    permissions_suspend(chat_id=chat.pk, reason="the owner is asked")
    assert not reference_confirmed(**asked)
    assert not is_permitted(chat_id=chat.pk, purpose=SCRIPT)


@pytest.mark.parametrize("to", ["https://t.me/+AThird", LINK])
def test_an_answer_about_an_older_change_does_not_confirm_the_newer_change(chat: Chat, to: str):
    asked: dict[str, Any] = {"chat_id": chat.pk, "reference": LINK, "changed_at": changed(chat)}
    changed(chat, "@square")
    newer = changed(chat, to)
    assert not reference_confirmed(**asked)
    chat_elsewhere(bot_id=ledger.make_bot().pk, error=ReferenceLeadsElsewhere(STRANGER), **asked)
    chat.refresh_from_db()
    assert (chat.reference_changed_at, chat.reference_leads_to) == (newer, None)
    assert not ChatPermission.objects.filter(suspended_at__isnull=False).exists() and not Incident.objects.exists()


def test_what_a_line_met_by_the_former_reference_suspends_nothing(chat: Chat):
    bot = ledger.make_bot()
    line = ledger.queue_line(bot, ledger.make_campaign(), chat)
    [out] = claim(ledger.owners(bot, chats=[chat])).outgoing
    changed(chat)
    record_refusal_of_telegram(out, ReferenceLeadsElsewhere(STRANGER), database_clock())
    line.refresh_from_db()
    chat.refresh_from_db()
    assert line.state == Delivery.State.QUEUED
    assert (chat.reference_leads_to, ChatPermission.objects.get().suspended_at) == (None, None)


def test_a_chat_that_no_account_has_seen_yet_has_nothing_to_confirm():
    chat = ledger.make_chat(telegram_id=None, kind="unknown", reference="@square")
    reference_change(chat_id=chat.pk, reference="@garden")
    assert is_permitted(chat_id=chat.pk, purpose=SCRIPT)
    with pytest.raises(AnotherChat, match="while an account looked up @square"):
        chat_identify(chat_id=chat.pk, telegram_id=STRANGER, kind=Chat.Kind.SUPERGROUP, reference="@square")
    chat_identify(chat_id=chat.pk, telegram_id=STRANGER, kind=Chat.Kind.SUPERGROUP, reference="@garden")
    assert Chat.objects.get().telegram_id == STRANGER


def test_a_number_is_compared_at_the_door(chat: Chat, operator: Client):
    page = save(operator, chat, str(STRANGER)).content.decode()
    assert "is the id of another chat" in page and "Add a new chat with the other id instead" in page
    with pytest.raises(NotPossible, match="Add a new chat"):
        reference_change(chat_id=chat.pk, reference=str(STRANGER))
    assert Chat.objects.get().reference == "@square"
    assert save(operator, chat, f" {chat.telegram_id} ").status_code == 302
    chat.refresh_from_db()
    assert (chat.reference, chat.reference_changed_at) == (str(chat.telegram_id), None)
    assert is_permitted(chat_id=chat.pk, purpose=SCRIPT)


def test_what_no_account_could_follow_is_refused_at_the_door(chat: Chat, operator: Client):
    told = "Riverside expats is not a reference to a chat: enter @username, an invite link"
    assert told in save(operator, chat, "Riverside expats").content.decode()
    form = {"key": "expats", "reference": "Riverside expats", "title": "", "label": ""}
    form |= {"permissions-TOTAL_FORMS": "0", "permissions-INITIAL_FORMS": "0"}
    assert told in operator.post(reverse("admin:campaigns_chat_add"), form).content.decode()
    with pytest.raises(NotPossible, match=told):
        reference_change(chat_id=chat.pk, reference="Riverside expats")
    assert list(Chat.objects.values_list("reference", "reference_changed_at")) == [("@square", None)]


def test_a_chat_on_record_is_not_created_again(chat: Chat):
    other = ledger.make_chat(key="garden")
    assert other.telegram_id is not None
    chat_elsewhere(
        bot_id=ledger.make_bot().pk,
        chat_id=chat.pk,
        error=ReferenceLeadsElsewhere(other.telegram_id),
        reference="@square",
    )
    with pytest.raises(
        NotPossible, match=f"“{other}”, which you have .*“{chat}” to {chat.telegram_id}, which always leads"
    ):
        reference_to_new_chat(chat_id=chat.pk)
    assert Chat.objects.count() == 2


def test_a_name_that_was_lost_is_no_incident_once_the_reference_is_another(chat: Chat):
    lost_username_report(chat=chat, error="USERNAME_NOT_OCCUPIED")
    reference_incidents_close()
    assert "“@square”" in Incident.objects.get(key=f"name:{chat.pk}").reason
    changed(chat)
    reference_incidents_close()
    assert not Incident.objects.exists()


def test_the_number_of_the_group_that_it_was_is_its_own():
    chat = ledger.make_chat(upgraded_from_id=-4_100_777, upgraded_at=database_clock())
    reference_change(chat_id=chat.pk, reference="-4100777")
    assert is_permitted(chat_id=chat.pk, purpose=SCRIPT)


def test_an_account_in_the_chat_looks_and_of_others_only_those_that_are_to_be_in_it(chat: Chat):
    anna, boris = ledger.make_bot(key="anna"), ledger.make_bot(key="boris")

    def looking(bot: Bot) -> bool:
        return references_to_check(bot_id=bot.pk, wanted=[chat.pk] if bot == boris else []) == [chat]

    assert not looking(anna) and not looking(boris)
    changed(chat)
    assert not looking(anna) and looking(boris)
    enter(anna, chat)
    assert looking(anna) and not looking(boris)
    Bot.objects.filter(pk=anna.pk).update(state=Bot.State.BANNED)
    assert looking(boris)
    permission_revoke(chat_id=chat.pk, purpose=SCRIPT)
    assert not looking(boris)


def test_a_single_account_is_connected_to_check_and_not_for_ever(chat: Chat):
    connected, idle = ledger.make_bot(key="boris"), ledger.make_bot(key="anna", lease_expires_at=None)
    at = changed(chat)
    for bot in (connected, idle):
        enter(bot, chat)
    now = at + timedelta(minutes=1)
    assert bots_to_check(role="actor", now=now) == {connected.pk} and bots_to_check(role="parser", now=now) == set()
    Bot.objects.filter(pk=connected.pk).update(enabled=False)
    assert bots_to_check(role="actor", now=now) == {idle.pk} == bots_wanted(role="actor", now=now)
    assert bots_to_check(role="actor", now=at + timedelta(hours=2)) == set()


def test_a_failed_check_is_reported_once_and_closed_when_the_reference_is_confirmed(chat: Chat):
    bot, at = ledger.make_bot(key="anna"), changed(chat)
    for _ in range(2):
        report_unconfirmed(bot_id=bot.pk, chat=chat, reason="NOT_INSIDE")
    assert "add the account to the chat in Telegram" in Incident.objects.get().reason
    assert OutboxEvent.objects.filter(routing_key="bots.error").count() == 1
    reference_incidents_close()
    assert Incident.objects.exists()
    reference_confirmed(chat_id=chat.pk, reference=LINK, changed_at=at)
    reference_incidents_close()
    assert not Incident.objects.exists()


def test_the_chats_page_shows_who_checks_and_what_to_do_when_no_account_can(chat: Chat, operator: Client):
    assert "Confirmation of the changed reference" not in shown(operator, chat)
    changed(chat)
    page = shown(operator, chat)
    assert "no account has confirmed yet that the reference" in page
    assert "No account in this chat can confirm the reference." in page
    assert "add an account to the chat in Telegram's app" in page
    enter(ledger.make_bot(key="anna"), chat)
    enter(ledger.make_bot(key="boris", state=Bot.State.BANNED), chat)
    page = shown(operator, chat)
    assert "No account in this chat can confirm the reference" not in page
    assert (
        "The reference is checked within seconds" in page
        and "Cannot check the reference: the account is disabled" in page
    )


def test_chats_with_such_references_are_found_in_the_list(chat: Chat, operator: Client):
    ledger.make_chat(key="garden", reference="@garden", title="Garden")

    def listed(state: str) -> list[Chat]:
        page = operator.get(reverse("admin:campaigns_chat_changelist"), {"reference_state": state})
        return list(page.context["cl"].result_list)

    changed(chat)
    assert listed("waits") == [chat] and listed("elsewhere") == [] and len(listed("")) == 2
    strayed(chat)
    assert listed("waits") == [] and listed("elsewhere") == [chat]


def strayed(chat: Chat) -> None:
    permission_grant(chat_id=chat.pk, purpose=PARSE, granted_by="owner", evidence="a letter")
    error = ReferenceLeadsElsewhere(UNSEEN_CHAT, "Garden", "stays")
    chat_elsewhere(
        bot_id=ledger.make_bot(key="anna").pk,
        chat_id=chat.pk,
        error=error,
        reference=LINK,
        changed_at=chat.reference_changed_at or changed(chat),
    )
    chat.refresh_from_db()


def test_the_report_names_the_other_chat_and_what_became_of_who_joined_it(chat: Chat, operator: Client):
    strayed(chat)
    [incident] = Incident.objects.all()
    assert "“Garden” (id unknown)" in incident.reason and "could not leave" in incident.reason
    assert len(incident.reason) < 300
    assert (chat.reference_leads_to, chat.reference_changed_at) == (UNSEEN_CHAT, None)
    page = shown(operator, chat)
    assert "leads to another chat (id unknown)" in page and "Add the other chat" in page
    chats_page = reverse("admin:campaigns_chat_change", args=[chat.pk])
    incident_page = operator.get(reverse("admin:bots_incident_change", args=[incident.pk])).content.decode()
    assert chats_page in incident_page and "Open the chat" in incident_page
    assert chats_page in operator.get(reverse("admin:index")).content.decode()


def test_the_permissions_of_a_chat_are_resumed_together_and_each_is_named(chat: Chat, operator: Client):
    strayed(chat)
    resume = reverse("admin:campaigns_chat_operate", args=[chat.pk, "resume"])
    assert "Resume permissions" not in shown(operator, chat)
    reference_check_again(chat_id=chat.pk)
    assert "Resume permissions" in shown(operator, chat)
    page = operator.get(resume).content.decode()
    assert "Accounts post scripted lines in the chat" in page and "Accounts watch the chat for keywords" in page
    assert "led to another chat" in page
    choices = [
        f"{permission.pk} {permission.suspended_at.isoformat()}"
        for permission in ChatPermission.objects.all()
        if permission.suspended_at
    ]
    assert len(choices) == 2 and all(f'value="{choice}"' in page for choice in choices)
    assert operator.post(resume, {"permissions": choices, "_confirmed": "1"}).status_code == 302
    assert not ChatPermission.objects.filter(suspended_at__isnull=False).exists()
    assert "Resume permissions" not in shown(operator, chat)


def test_what_was_suspended_since_the_page_was_shown_is_not_resumed_by_it(chat: Chat, operator: Client):
    permissions_suspend(chat_id=chat.pk, reason="the first time")
    [permission] = ChatPermission.objects.all()
    assert permission.suspended_at is not None
    former = permission.suspended_at - timedelta(seconds=5)
    resume = reverse("admin:campaigns_chat_operate", args=[chat.pk, "resume"])
    choice = f"{permission.pk} {former.isoformat()}"
    assert operator.post(resume, {"permissions": [choice], "_confirmed": "1"}).status_code == 200
    assert permissions_resume(chat_id=chat.pk, suspensions={permission.pk: former}) == 0
    other = ledger.make_chat(key="garden")
    assert permissions_resume(chat_id=other.pk, suspensions={permission.pk: permission.suspended_at}) == 0
    assert not is_permitted(chat_id=chat.pk, purpose=SCRIPT)
