"""Events become leads: one for each campaign and person, contacted by a manager, or waiting and saying why."""

from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bots.deliveries.claiming import claim
from bots.deliveries.outcomes import recipient_identified
from bots.models import Bot, BotSession, Delivery, Presence, Role
from campaigns.models import Campaign, ChatPermission, Suppression
from campaigns.permissions.services import permission_revoke
from campaigns.policy.disclosure import is_disclosed
from campaigns.services import campaign_finish
from campaigns.suppressions.recording import suppression_add
from leads.models import CampaignManager, Conversation, Lead, Message
from leads.selectors import PersonRef, leads_of
from leads.services.contact import lead_approve, lead_reject, leads_contact_due
from leads.services.identity import lead_find
from leads.services.receiving import BadLead
from messaging.events import UndecodableMessage
from panelkit.errors import NotPossible
from telegram.types import PersonTarget
from tests.integration import ledger
from tests.integration.leads_world import handle_lead, make_world
from tests.integration.locks import at_once
from tests.integration.script_world import logged_in

pytestmark = pytest.mark.django_db
State = Lead.State


def test_a_hit_becomes_a_lead_whose_first_message_says_who_writes(world):
    lead = world.receive()
    conversation = Conversation.objects.get(lead=lead)
    delivery = Delivery.objects.get()
    assert lead.state == State.CONTACTING
    assert (conversation.owner, conversation.peer_id, conversation.bot in world.managers) == ("ai", 501, True)
    assert (delivery.purpose, delivery.origin, delivery.bot) == ("first_contact", "leads.message", conversation.bot)
    assert delivery.origin_id == Message.objects.get(conversation=conversation).id
    assert is_disclosed(delivery.text, "en") and "{" not in delivery.text
    assert (delivery.peer_id, delivery.peer_username) == (501, "Tea_Lover")
    assert (delivery.via_chat_id, delivery.via_message_id) == (world.chat.telegram_id, 77)


def test_once_the_first_message_is_sent_the_lead_is_in_conversation(world):
    conversation = world.conversation()
    assert conversation.lead.state == State.TALKING
    assert Message.objects.get(conversation=conversation).telegram_message_id


def test_a_campaign_without_a_text_of_its_own_still_says_who_writes():
    for locale in ("en", "ru"):
        world = make_world(first_contact_template="", locale=locale)
        world.receive()
        assert is_disclosed(Delivery.objects.get(campaign=world.campaign).text, locale)


def test_the_first_message_keeps_the_campaigns_interval():
    world = make_world(first_contact_interval_seconds=600)
    hit_at = timezone.now() - timedelta(seconds=100)
    world.receive(created_at=hit_at.isoformat())
    assert Delivery.objects.get().due_at == hit_at + timedelta(seconds=600)
    assert world.send_all() == 0


def test_the_interval_counts_from_the_time_of_the_persons_message():
    world = make_world(first_contact_interval_seconds=600)
    said_at = timezone.now() - timedelta(seconds=500)
    world.receive(said_at=said_at.isoformat())
    assert Delivery.objects.get().due_at == said_at + timedelta(seconds=600)


@pytest.mark.parametrize("field", ["said_at", "created_at"])
def test_a_hit_of_days_ago_is_contacted_only_when_an_operator_approves_it(world, field):
    """As after an outage, when the queue hands over what waited in it."""
    old, fresh = ((timezone.now() - timedelta(hours=hours)).isoformat() for hours in (25, 23))
    lead = world.receive(**{field: old})
    assert lead.state == State.AWAITING_APPROVAL and "more than 24 hours old" in lead.state_reason
    assert not Delivery.objects.exists()
    lead_approve(lead_id=lead.id, by="olga")
    assert world.send_all() == 1
    fresh = world.receive(
        **{field: (timezone.now() - timedelta(hours=23)).isoformat()}, telegram_user_id=502, username="b"
    )
    assert fresh.state == State.CONTACTING


def test_a_lead_that_waited_for_days_for_a_manager_is_contacted_only_when_an_operator_approves_it(world):
    Bot.objects.update(enabled=False)
    lead = world.receive()
    assert lead.state == State.NEW
    Bot.objects.update(enabled=True)
    assert leads_contact_due(now=timezone.now() + timedelta(hours=25)) == 1
    lead.refresh_from_db()
    assert lead.state == State.AWAITING_APPROVAL and not Delivery.objects.exists()


def test_a_basic_groups_message_id_is_not_given_to_another_account(world):
    group = ledger.make_chat(telegram_id=-4100005, kind="group", permitted=False)
    world.receive(chat_id=group.telegram_id)
    lead_approve(lead_id=Lead.objects.get().id, by="olga")
    assert Delivery.objects.get().via_message_id is None


def enters(world, bot):
    Presence.objects.create(bot=bot, chat=world.chat, peer_id=world.chat.telegram_id)


def test_to_a_person_without_a_username_an_account_in_the_chat_writes(world):
    inside = world.managers[1]
    enters(world, inside)
    for number in range(3):
        lead = world.receive(username="", telegram_user_id=600 + number)
        assert (lead.state, lead.conversation.bot) == (State.CONTACTING, inside)


def test_without_an_account_in_the_chat_the_lead_says_what_to_do_and_waits(world):
    lead = world.receive(username="")
    assert lead.state == State.NEW and not Delivery.objects.exists()
    assert f"add a manager account of the campaign to the chat {world.chat}" in lead.state_reason
    enters(world, world.managers[0])
    assert leads_contact_due(now=timezone.now()) == 1
    lead.refresh_from_db()
    assert (lead.state, lead.conversation.bot) == (State.CONTACTING, world.managers[0])


def test_an_account_that_has_talked_to_a_person_without_a_username_can_write_again(world):
    enters(world, world.managers[0])
    world.conversation(username="")
    Presence.objects.all().delete()
    other = ledger.make_campaign(first_contact_template="", first_contact_interval_seconds=0)
    CampaignManager.objects.create(campaign=other, bot=world.managers[0])
    lead = world.receive(username="", campaign_id=str(other.id))
    assert (lead.state, lead.conversation.bot) == (State.CONTACTING, world.managers[0])


def test_a_bare_event_of_another_program_is_enough(world):
    lead = world.receive(id=..., created_at=..., telegram_user_id=..., message_id=..., username="@Tea_Lover")
    assert lead is None  # the event had no id to find it by
    lead = Lead.objects.get()
    assert (lead.username, lead.telegram_user_id, lead.state) == ("Tea_Lover", None, State.CONTACTING)
    assert Delivery.objects.get().peer_username == "Tea_Lover"


@pytest.mark.parametrize("field", [{"campaign_id": "nonsense"}, {"campaign_id": str(uuid4())}])
def test_an_event_of_no_campaign_is_refused_with_a_reason(world, field):
    with pytest.raises(BadLead, match="no campaign"):
        world.receive(**field)


def test_an_event_that_identifies_no_person_is_refused(world):
    with pytest.raises(UndecodableMessage, match="it identifies no person"):
        world.receive(username="", telegram_user_id=None)


def test_our_own_accounts_become_no_leads(world):
    own = world.managers[0]
    own.username = "mira"
    own.save()
    world.receive(telegram_user_id=own.telegram_user_id)
    world.receive(telegram_user_id=None, username="MIRA")
    assert not Lead.objects.exists()


def test_a_person_who_took_over_a_username_of_ours_is_a_lead(world):
    Bot.objects.filter(id=world.managers[0].id).update(username="mira")
    assert world.receive(telegram_user_id=501, username="mira") is not None
    # Whose name it is now Telegram says: an account of ours is not written to, whatever it was called in between.
    lead = world.receive(telegram_user_id=None, username="old_name")
    named = PersonTarget(username="old_name", via_chat_id=world.chat.telegram_id, via_message_id=77)
    out = next(out for out in claim(ledger.owners(*world.managers)).outgoing if out.target == named)
    assert not recipient_identified(out, world.managers[1].telegram_user_id, "old_name")
    lead.refresh_from_db()
    assert (lead.state, lead.state_reason) == (Lead.State.FAILED, "The recipient is one of the team's own accounts.")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {}),
        ({}, {"username": "other_name"}),
        ({}, {"username": ""}),
        ({}, {"telegram_user_id": None}),
        ({}, {"telegram_user_id": None, "username": "@tea_LOVER"}),
        ({"telegram_user_id": None}, {}),
        ({"username": ""}, {}),
        ({"telegram_user_id": None}, {"telegram_user_id": None, "username": "TEA_LOVER"}),
    ],
)
def test_a_person_is_one_lead_of_a_campaign(world, first, second):
    enters(world, world.managers[0])
    world.receive(**first)
    world.receive(**second)
    assert Lead.objects.count() == Conversation.objects.count() == Delivery.objects.count() == 1


def test_an_id_that_becomes_known_is_kept(world):
    world.receive(telegram_user_id=None)
    world.receive(telegram_user_id=501)
    assert Lead.objects.get().telegram_user_id == 501
    assert Conversation.objects.get().peer_id == 501


def test_an_id_is_learned_when_the_first_message_is_sent(world):
    world.receive(telegram_user_id=None)
    assert world.send_all() == 1
    assert Lead.objects.get().telegram_user_id == Conversation.objects.get().peer_id == 501
    world.receive(username="")
    assert Lead.objects.count() == 1


def test_two_leads_that_turn_out_to_be_the_same_person_continue_as_one_lead(world):
    enters(world, world.managers[0])
    by_name = world.receive(telegram_user_id=None)
    by_id = world.receive(username="")
    assert Delivery.objects.filter(state="queued").count() == 2
    world.receive()
    by_name.refresh_from_db()
    by_id.refresh_from_db()
    assert sorted([by_name.state, by_id.state]) == [State.CLOSED, State.CONTACTING]
    assert Delivery.objects.filter(state="queued").count() == 1
    world.receive()
    world.receive(telegram_user_id=None)
    assert Lead.objects.count() == 2 and Delivery.objects.filter(state="queued").count() == 1


def test_a_username_with_a_new_owner_is_another_person(world):
    old = world.receive(telegram_user_id=501)
    new = world.receive(telegram_user_id=502)
    old.refresh_from_db()
    assert (old.username, new.username) == ("", "Tea_Lover")


def test_two_campaigns_have_each_their_own_lead_and_different_bots(world):
    other = make_world(managers=0)
    for bot in world.managers:
        CampaignManager.objects.create(campaign=other.campaign, bot=bot)
    conversations = [Conversation.objects.get(lead=each.receive()) for each in (world, other)]
    assert {conversation.bot for conversation in conversations} == set(world.managers)


def test_leads_go_to_the_least_loaded_manager(world):
    for number in range(6):
        world.receive(telegram_user_id=600 + number, username=f"person{number}")
    assert [bot.conversations.count() for bot in world.managers] == [3, 3]
    world.managers[0].conversations.update(owner="none")
    for number in range(3):
        world.receive(telegram_user_id=700 + number, username=f"later{number}")
    assert [bot.conversations.count() for bot in world.managers] == [6, 3]


def test_a_suppressed_person_is_recorded_and_not_contacted(world):
    suppression_add(telegram_user_id=501, source=Suppression.Source.OPERATOR)
    lead = world.receive()
    assert lead.state == State.OPTED_OUT and lead.state_reason
    assert not Conversation.objects.exists() and not Delivery.objects.exists()


def test_a_person_suppressed_between_hit_and_contact_is_not_contacted(world):
    lead = world.receive()
    suppression_add(telegram_user_id=None, username="tea_lover", source=Suppression.Source.OPERATOR)
    assert world.send_all() == 0
    lead.refresh_from_db()
    assert (lead.state, lead.conversation.owner) == (State.OPTED_OUT, "none")


def test_without_the_owners_permission_an_operator_decides():
    world = make_world(direct=False)
    lead = world.receive()
    assert lead.state == State.AWAITING_APPROVAL and "approve" in lead.state_reason
    assert not Delivery.objects.exists()
    lead_approve(lead_id=lead.id, by="olga")
    lead_approve(lead_id=lead.id, by="boris")
    lead.refresh_from_db()
    assert (lead.state, lead.approved_by) == (State.CONTACTING, "olga")
    assert world.send_all() == 1


def test_a_rejected_lead_is_closed_and_stays_closed():
    world = make_world(direct=False)
    lead = world.receive()
    lead_reject(lead_id=lead.id, by="olga", reason="A competitor.")
    world.receive()
    lead.refresh_from_db()
    assert (lead.state, lead.state_reason) == (State.CLOSED, "Rejected by olga. A competitor.")
    with pytest.raises(NotPossible):
        lead_approve(lead_id=lead.id, by="olga")


def test_a_permission_that_is_revoked_before_the_contact_stops_it(world):
    lead = world.receive()
    permission_revoke(chat_id=world.chat.id, purpose=ChatPermission.Grant.FIRST_CONTACT)
    assert world.send_all() == 0
    lead.refresh_from_db()
    assert (lead.state, lead.conversation.owner) == (State.FAILED, "none")
    assert "permission" in lead.state_reason


def test_a_first_message_that_does_not_disclose_is_never_sent():
    world = make_world(first_contact_template="Hi, buy some tea!")
    lead = world.receive()
    assert world.send_all() == 0
    lead.refresh_from_db()
    assert lead.state == State.FAILED and "AI" in lead.state_reason


def test_a_finished_campaign_contacts_nobody(world):
    lead = world.receive()
    campaign_finish(campaign_id=world.campaign.id)
    assert world.send_all() == 0
    lead.refresh_from_db()
    assert lead.state == State.FAILED


@pytest.mark.parametrize("obstacle", ["no manager", "broken text"])
def test_a_lead_that_cannot_be_contacted_yet_says_why_and_is_tried_again(obstacle):
    world = make_world(managers=0) if obstacle == "no manager" else make_world(first_contact_template="{Hello")
    lead = world.receive()
    assert lead.state == State.NEW and lead.state_reason
    assert leads_contact_due(now=timezone.now()) == 0
    if obstacle == "no manager":
        CampaignManager.objects.create(campaign=world.campaign, bot=logged_in(ledger.make_bot(role=Role.MANAGER)))
    else:
        Campaign.objects.update(first_contact_template="")
    assert leads_contact_due(now=timezone.now()) == 1
    lead.refresh_from_db()
    assert lead.state == State.CONTACTING and Delivery.objects.count() == 1


def test_leads_that_cannot_be_contacted_do_not_keep_others_waiting(world):
    stuck = make_world(managers=0)
    for number in range(3):
        stuck.receive(telegram_user_id=600 + number, username=f"person{number}")
    CampaignManager.objects.filter(campaign=world.campaign).delete()
    lead = world.receive()
    CampaignManager.objects.create(campaign=world.campaign, bot=world.managers[0])
    now = timezone.now()
    rounds = [leads_contact_due(now=now + timedelta(seconds=2 * number), limit=2) for number in range(2)]
    lead.refresh_from_db()
    assert sum(rounds) == 1 and lead.state == State.CONTACTING


def test_a_bot_that_telegram_restricts_gets_no_new_leads(world):
    restricted, other = world.managers
    Bot.objects.filter(id=restricted.id).update(state=Bot.State.RESTRICTED)
    for number in range(3):
        world.receive(telegram_user_id=600 + number, username=f"person{number}")
    assert other.conversations.count() == 3


def test_a_manager_that_was_never_logged_in_gets_no_new_leads(world):
    fresh, other = world.managers
    BotSession.objects.filter(bot=fresh).delete()
    for number in range(3):
        world.receive(telegram_user_id=600 + number, username=f"person{number}")
    assert (fresh.conversations.count(), other.conversations.count()) == (0, 3)


def test_a_lead_waits_for_the_login_of_the_only_manager_and_says_so():
    world = make_world(managers=1)
    [manager] = world.managers
    BotSession.objects.all().delete()
    Bot.objects.filter(pk=manager.pk).update(telegram_user_id=None)
    lead = world.receive()
    assert lead.state == State.NEW and not Conversation.objects.exists()
    advice = f"{manager} was never logged in: log it in on its page, or choose another account."
    assert lead.state_reason == f"No manager account of the campaign can take new leads. {advice}"
    logged_in(manager)
    assert leads_contact_due(now=timezone.now()) == 1
    lead.refresh_from_db()
    assert (lead.state, lead.state_reason) == (State.CONTACTING, "")
    assert manager.conversations.count() == 1


def test_a_lead_of_a_campaign_without_managers_asks_the_operator_to_add_a_manager():
    assert (
        make_world(managers=0).receive().state_reason
        == "The campaign has no manager account: add an account on the campaign's page."
    )


def handled_at_once(*events):
    at_once(*(partial(handle_lead, event) for event in events))


@pytest.mark.django_db(transaction=True)
def test_copies_of_one_event_at_the_same_moment_make_one_lead():
    world = make_world()
    handled_at_once(*[world.event()] * 4)
    assert Lead.objects.count() == Conversation.objects.count() == Delivery.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "others",
    [{}, {"telegram_user_id": None}, {"username": "TEA_lover"}],
    ids=["both known", "name only", "written differently"],
)
def test_different_events_of_one_person_at_the_same_moment_make_one_lead(others):
    world = make_world()
    handled_at_once(world.event(), world.event(**others), world.event(), world.event(**others))
    assert Lead.objects.count() == Conversation.objects.count() == Delivery.objects.count() == 1
    assert Lead.objects.get().telegram_user_id == 501


@pytest.mark.django_db(transaction=True)
def test_leads_of_the_same_moment_are_spread_over_the_managers():
    world = make_world()
    handled_at_once(*(world.event(telegram_user_id=600 + number, username=f"person{number}") for number in range(8)))
    assert [bot.conversations.count() for bot in world.managers] == [4, 4]


def test_a_person_is_found_among_many_leads_by_indexes(world):
    names = [{"telegram_user_id": number if number % 2 else None} for number in range(1000, 5000)]
    facts = {"campaign": world.campaign, "chat_id": -1001, "worker_id": "ears", "hit_at": timezone.now()}
    Lead.objects.bulk_create(
        Lead(username=f"User_{number}", message="tea", event_id=uuid4(), **who, **facts)
        for number, who in enumerate(names)
    )
    with connection.cursor() as cursor, CaptureQueriesContext(connection) as queries:
        cursor.execute("ANALYZE leads_lead")
        person = PersonRef.of(1001, "@user_2")
        assert set(leads_of(person).values_list("username", flat=True)) == {"User_1", "User_2"}
        found = lead_find(campaign_id=world.campaign.id, person=PersonRef.of(None, "USER_4"))
        assert found is not None and found.username == "User_4"
        searches = [each["sql"] for each in queries if each["sql"].startswith("SELECT")]
        for sql in searches:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "leads_of_username" in plan or "one_lead_per_campaign_and_username" in plan, plan
    assert len(searches) == 2
