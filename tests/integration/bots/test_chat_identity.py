"""A chat is its marked id: what is on record when its reference leads elsewhere, or when it becomes a supergroup."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

import coolthing_site.urls  # noqa: F401  It registers the pages.
from bots.chats.identity import chat_elsewhere, chat_resolved, chat_upgraded, reference_incidents_close
from bots.deliveries.claiming import claim
from bots.deliveries.outcomes import record_refusal_of_telegram, record_sent
from bots.deliveries.recovery import known_ids
from bots.models import Bot, Delivery, Incident
from bots.worker.change_records import changes_record, recent_messages
from bots.worker.cursors import Reader
from campaigns.chats.identity import AnotherChat, SameChat, chat_identify, reference_to_new_chat
from campaigns.chats.references import reference_check_again, reference_confirmed
from campaigns.models import Chat, ChatPermission
from campaigns.permissions.services import permission_grant, permission_resume
from campaigns.permissions.validity import is_permitted
from leads.selectors import direct_contact_gaps, direct_contact_permitted
from messaging.database.clock import database_clock
from messaging.models import OutboxEvent
from panelkit.errors import NotPossible
from parser.models import Hit
from telegram.errors import ChatUpgraded, ReferenceLeadsElsewhere
from telegram.types import ChatTarget, MessageNow, ResolvedChat, SentMessage
from tests.integration import ledger
from tests.integration.leads_world import permit, role_handler
from tests.integration.parser.test_matching import message  # noqa: F401

pytestmark = pytest.mark.django_db
GROUP, SUPERGROUP, STRANGER = -4_100_777, -1_002_100_000_777, -1_002_100_000_778
SCRIPT = ChatPermission.Grant.SCRIPT


@pytest.fixture(autouse=True)
def origin() -> ledger.NotingOrigin:
    return ledger.noting_origin()


@pytest.fixture
def group() -> Chat:
    return ledger.make_chat(kind="group", telegram_id=GROUP)


def upgrade(chat: Chat) -> Chat:
    chat_upgraded(chat_id=chat.id, telegram_id=SUPERGROUP, upgraded_from=GROUP)
    chat.refresh_from_db()
    return chat


def test_the_first_look_sets_the_id_and_no_later_one_replaces_it():
    chat = ledger.make_chat(telegram_id=None, kind="unknown", title="")
    chat_resolved(chat_id=chat.id, found=ResolvedChat(SUPERGROUP, "supergroup", "Square"))
    with pytest.raises(AnotherChat):
        chat_resolved(chat_id=chat.id, found=ResolvedChat(STRANGER, "supergroup", "Another"))
    chat.refresh_from_db()
    assert (chat.telegram_id, chat.kind, chat.title) == (SUPERGROUP, "supergroup", "Square")


def test_an_upgrade_keeps_both_ids_however_often_it_is_seen(group: Chat):
    for _ in range(2):
        upgrade(group)
        at = group.upgraded_at
        chat_resolved(chat_id=group.id, found=ResolvedChat(GROUP, "group", "seen by an account that does not know yet"))
    group.refresh_from_db()
    assert (group.telegram_id, group.upgraded_from_id, group.kind) == (SUPERGROUP, GROUP, "supergroup")
    assert group.upgraded_at == at and is_permitted(chat_id=group.id, purpose=SCRIPT)


@pytest.mark.parametrize("found", [GROUP, SUPERGROUP])
def test_neither_id_of_a_chat_can_be_another_rows(group: Chat, found: int):
    upgrade(group)
    twin = ledger.make_chat(telegram_id=None, kind="unknown")
    with pytest.raises(SameChat, match=f"{twin.reference} and {group.reference} .* lead to the same Telegram chat"):
        chat_identify(chat_id=twin.id, telegram_id=found, kind=Chat.Kind.SUPERGROUP)
    assert Chat.objects.get(pk=twin.pk).telegram_id is None


def strayed() -> Chat:
    chat, bot = ledger.make_chat(telegram_id=SUPERGROUP), ledger.make_bot()
    for _ in range(2):
        chat_elsewhere(
            bot_id=bot.id, chat_id=chat.id, error=ReferenceLeadsElsewhere(STRANGER), reference=chat.reference
        )
    chat.refresh_from_db()
    return chat


def test_what_leads_elsewhere_is_reported_once_and_nothing_is_permitted_until_it_is_corrected():
    chat = strayed()
    permission = ChatPermission.objects.get()
    assert f"{chat.reference} led to another chat, not to “{chat}”" in permission.suspended_reason
    [event] = OutboxEvent.objects.filter(routing_key="bots.error").values_list("body", flat=True)
    assert f"“{chat}”: account {Bot.objects.get()} found that {chat.reference} leads to another chat." in event
    assert str(STRANGER) not in event and str(SUPERGROUP) not in event
    given: Any = {"chat_id": chat.id, "granted_by": "owner", "evidence": "a newer letter"}
    for refused in (
        lambda: permission_resume(permission_id=permission.pk),
        lambda: permission_grant(**given, purpose=SCRIPT),
        lambda: permission_grant(**given, purpose=ChatPermission.Grant.PARSE),
    ):
        with pytest.raises(NotPossible, match=f"correct the reference of “{chat}”"):
            refused()
    reference_incidents_close()
    assert Incident.objects.count() == 1
    at = reference_check_again(chat_id=chat.id).reference_changed_at
    assert at is not None
    reference_incidents_close()
    assert not Incident.objects.exists()
    permission_resume(permission_id=permission.pk)
    assert not is_permitted(chat_id=chat.id, purpose=SCRIPT)
    reference_confirmed(chat_id=chat.id, reference=chat.reference, changed_at=at)
    assert is_permitted(chat_id=chat.id, purpose=SCRIPT)


def test_a_suspension_that_cannot_be_reported_is_not_made(monkeypatch):
    """Nobody looks at the chat again once its permissions are suspended."""
    chat, bot = ledger.make_chat(telegram_id=SUPERGROUP), ledger.make_bot()

    def killed(**_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bots.chats.identity.incident_report", killed)
    with pytest.raises(KeyboardInterrupt):
        chat_elsewhere(
            bot_id=bot.id, chat_id=chat.id, error=ReferenceLeadsElsewhere(STRANGER), reference=chat.reference
        )
    assert is_permitted(chat_id=chat.id, purpose=SCRIPT)


def test_what_the_reference_leads_to_becomes_a_chat_without_permissions():
    chat = strayed()
    reference = chat.reference
    new = reference_to_new_chat(chat_id=chat.id)
    chat.refresh_from_db()
    assert (chat.reference, chat.telegram_id, chat.reference_leads_to) == (str(SUPERGROUP), SUPERGROUP, None)
    assert (new.reference, new.telegram_id, new.permissions.count()) == (reference, None, 0)
    # What is left to do is said by the reason; what has been done is not asked for again.
    permission = ChatPermission.objects.get()
    assert "ask the chat's owner, then resume the permission" in permission.suspended_reason
    assert "add the other chat" not in permission.suspended_reason
    permission_resume(permission_id=permission.pk)
    with pytest.raises(NotPossible):
        reference_to_new_chat(chat_id=chat.id)


def test_an_operator_finds_both_ways_out_on_the_chats_page():
    chat, client = strayed(), Client()
    client.force_login(User.objects.create_superuser("olga"))
    page = reverse("admin:campaigns_chat_change", args=[chat.pk])
    shown = client.get(page).content.decode()
    assert "leads to another chat" in shown and "Add the other chat" in shown and "Check the reference again" in shown
    form = {"key": chat.key, "reference": "@right_name", "title": chat.title, "label": chat.label}
    form |= {"permissions-TOTAL_FORMS": "0", "permissions-INITIAL_FORMS": "0"}
    assert client.post(page, form).status_code == 302
    chat.refresh_from_db()
    assert (chat.reference, chat.reference_leads_to, chat.telegram_id) == ("@right_name", None, SUPERGROUP)
    assert "Check the reference again" not in client.get(page).content.decode()


def test_the_line_that_detects_the_upgrade_goes_to_the_supergroup_without_a_quote(group: Chat):
    bot, other, campaign, clock = ledger.make_bot(), ledger.make_bot(), ledger.make_campaign(), database_clock
    asked = ledger.queue_line(bot, campaign, group, "Question")
    [out] = claim(ledger.owners(bot, other, chats=[group]), clock=clock).outgoing
    record_sent(out, SentMessage(5, clock()))
    ledger.queue_line(other, campaign, group, "Answer", reply_to_id=asked.id)
    [out] = claim(ledger.owners(bot, other, chats=[group]), clock=clock).outgoing
    assert out.target == ChatTarget(group.reference, GROUP) and out.reply_to is not None
    record_refusal_of_telegram(out, ChatUpgraded(SUPERGROUP, GROUP), clock())
    [out] = claim(ledger.owners(bot, other, chats=[group]), clock=clock).outgoing
    assert (out.target, out.destination_id) == (ChatTarget(group.reference, SUPERGROUP), SUPERGROUP)
    assert out.reply_to is None and out.attempts == 1


def test_a_line_whose_reference_leads_elsewhere_waits(group: Chat):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    line = ledger.queue_line(bot, campaign, group)
    [out] = claim(ledger.owners(bot, chats=[group])).outgoing
    record_refusal_of_telegram(out, ReferenceLeadsElsewhere(STRANGER), database_clock())
    assert claim(ledger.owners(bot, chats=[group])).outgoing == []
    line.refresh_from_db()
    assert line.state == Delivery.State.QUEUED and "led to another chat, not to" in line.waiting_reason


def test_numbers_of_the_group_and_of_the_supergroup_are_not_mixed_up(group: Chat):
    bot, other, campaign = ledger.make_bot(), ledger.make_bot(), ledger.make_campaign()
    before, after = ledger.queue_line(bot, campaign, group, "Same"), None
    [out] = claim(ledger.owners(bot, chats=[group])).outgoing
    lost = replace(out)
    record_sent(out, SentMessage(5, database_clock()))
    upgrade(group)
    after = ledger.queue_line(bot, campaign, group, "Same")
    [out] = claim(ledger.owners(bot, chats=[group])).outgoing
    assert (known_ids(lost), known_ids(out)) == ({5}, set())
    record_sent(out, SentMessage(5, database_clock()))
    assert recent_messages(reader=Reader(bot.pk, 1, role_handler("actor"))) == {None: [5], SUPERGROUP: [5]}
    changes_record(bot_id=other.pk, changes=[MessageNow(SUPERGROUP, 5, deleted=True)])
    before.refresh_from_db()
    after.refresh_from_db()
    assert before.deleted_at is None and after.deleted_at is not None
    changes_record(bot_id=bot.pk, changes=[MessageNow(None, 5, reactions="❤ 1")])
    before.refresh_from_db()
    after.refresh_from_db()
    assert (before.reactions, after.reactions) == ("❤ 1", "")


def test_an_attempt_from_before_the_upgrade_is_looked_for_in_the_group(group: Chat):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    ledger.queue_line(bot, campaign, group)
    [out] = claim(ledger.owners(bot, chats=[group])).outgoing
    upgrade(group)
    assert group.telegram_id_at(out.first_attempt_at) == GROUP
    assert group.telegram_id_at(out.first_attempt_at + timedelta(hours=1)) == SUPERGROUP


def test_a_hit_of_the_group_and_of_the_supergroup_with_one_number_are_two(world, message):  # noqa: F811
    Chat.objects.filter(pk=world.chat.pk).update(telegram_id=GROUP, kind="group")
    handler = role_handler("parser")
    for at in (GROUP, SUPERGROUP):
        handler.on_messages(messages={world.parser.id: [replace(message, peer_id=at)]})
        chat_upgraded(chat_id=world.chat.id, telegram_id=SUPERGROUP, upgraded_from=GROUP)
    handler.on_messages(messages={world.parser.id: [replace(message, peer_id=GROUP, message_id=78)]})
    assert list(Hit.objects.order_by("created_at").values_list("peer_id", "message_id")) == [
        (GROUP, 77),
        (SUPERGROUP, 77),
        (GROUP, 78),
    ]


def test_a_lead_of_the_group_is_judged_by_the_supergroups_permission(world):
    Chat.objects.filter(pk=world.chat.pk).update(telegram_id=GROUP, kind="group")
    chat_upgraded(chat_id=world.chat.id, telegram_id=SUPERGROUP, upgraded_from=GROUP)
    ids = {GROUP, SUPERGROUP}
    ChatPermission.objects.filter(purpose=ChatPermission.Grant.FIRST_CONTACT).delete()
    assert set(direct_contact_gaps(ids, now=database_clock())) == ids
    permit(world.chat, ChatPermission.Grant.FIRST_CONTACT)
    assert direct_contact_gaps(ids, now=database_clock()) == {}
    assert all(direct_contact_permitted(chat_id=chat_id) for chat_id in ids)
