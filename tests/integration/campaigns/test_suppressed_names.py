"""A suppression that was entered with a username applies to a person's id as soon as the id is known."""

import pytest
from django.db import transaction

from bots.deliveries.claiming import claim
from bots.deliveries.outcomes import recipient_identified
from bots.models import Delivery, Presence
from bots.worker.executor import in_db
from campaigns.models import Suppression
from campaigns.policy.locks import suppressions_lock_shared
from campaigns.suppressions.lookup import is_suppressed
from campaigns.suppressions.recording import suppression_add, suppression_resolve
from leads.models import Conversation, Lead
from leads.services.receiving import leads_receive
from parser.events import NewTargetMessage
from parser.models import Hit
from parser.services import message_match
from telegram.types import IncomingMessage
from tests.integration import ledger
from tests.integration.leads_world import World, make_world, private_message
from tests.integration.locks import in_thread, somebody_waits_for_a_lock
from tests.integration.stage import Stage
from tests.support import wait_until

pytestmark = pytest.mark.django_db
OPERATOR = Suppression.Source.OPERATOR


def by_name(name: str = "tea_lover") -> Suppression:
    return suppression_add(telegram_user_id=None, username=name, source=OPERATOR, reason="A letter.")


def parsed(world: World, user_id: int, username: str, text: str = "tea?") -> list[Hit]:
    message: IncomingMessage = private_message(
        message_id=next(world.ids),
        text=text,
        peer_id=world.chat.telegram_id,
        private=False,
        from_user_id=user_id,
        from_username=username,
    )
    return message_match(bot_id=world.parser.id, message=message)


def test_a_username_that_a_room_has_seen_gets_its_id_at_once(world):
    conversation = world.conversation()
    row = by_name()
    assert (row.telegram_user_id, row.username, row.resolved_by) == (501, "tea_lover", "our own records")
    conversation.refresh_from_db()
    assert (conversation.owner, conversation.lead.state) == ("none", Lead.State.OPTED_OUT)


def test_of_several_people_with_a_username_the_last_seen_is_suppressed(world):
    parsed(world, 600, "wanderer")
    parsed(world, 601, "wanderer")
    Hit.objects.filter(telegram_user_id=600).update(said_at=ledger.START)
    assert by_name("wanderer").telegram_user_id == 601


@pytest.mark.parametrize("seen", ["a hit", "an event", "their words"])
def test_a_name_that_nobody_knew_becomes_the_first_id_that_is_met_with_it(world, seen):
    conversation = world.conversation(username="somebody") if seen == "their words" else None
    row = by_name()
    assert is_suppressed(username="Tea_Lover") and is_suppressed(telegram_user_id=777, username="tea_lover")
    if seen == "a hit":
        [hit] = parsed(world, 501, "Tea_Lover")
        world.receive(id=str(hit.event_id))
    elif seen == "an event":
        assert world.receive().state == Lead.State.OPTED_OUT
    else:
        assert conversation is not None
        world.incoming(conversation, "Hello again")
        conversation.refresh_from_db()
        assert conversation.lead.state == Lead.State.OPTED_OUT
    row.refresh_from_db()
    assert row.telegram_user_id == 501 and row.resolved_at is not None and row.reason == "A letter."
    assert is_suppressed(telegram_user_id=501)


def test_a_person_who_takes_the_username_later_is_not_suppressed(world):
    by_name()
    suppression_resolve(telegram_user_id=501, username="tea_lover", by="a test")
    other = world.receive(telegram_user_id=502)
    assert other.state == Lead.State.CONTACTING and world.send_all() == 1
    assert not suppression_resolve(telegram_user_id=502, username="tea_lover", by="a test")
    assert Suppression.objects.get().telegram_user_id == 501


def test_a_stop_does_not_concern_another_person_with_the_username_in_another_campaign(world):
    world.conversation(telegram_user_id=501)
    other = make_world()
    theirs = Conversation.objects.get(lead=other.receive(telegram_user_id=502))
    suppression_add(telegram_user_id=501, username="tea_lover", source=OPERATOR)
    theirs.refresh_from_db()
    assert theirs.owner == "ai" and Delivery.objects.get(message__conversation=theirs).state == "queued"


def test_a_name_and_an_id_that_were_entered_apart_become_one(world):
    suppression_add(telegram_user_id=501, source=OPERATOR)
    by_name("wanderer")
    assert suppression_resolve(telegram_user_id=501, username="Wanderer", by="a test")
    assert [row.telegram_user_id for row in Suppression.objects.all()] == [501]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("entered", ["by id", "by name after the claim"])
def test_a_username_is_looked_up_before_anything_is_sent_to_it(entered, monkeypatch):
    """The delivery has only a username; the person with this username (4242, by the account's lookup) has opted out."""
    ledger.noting_origin()
    bot, campaign, stage = ledger.make_bot(), ledger.make_campaign(), Stage()
    account = stage.put(bot)
    if entered == "by id":
        suppression_add(telegram_user_id=4242, source=OPERATOR)
    else:
        original = account.person_id

        async def meanwhile(target):
            await in_db(by_name, "maria")
            return await original(target)

        monkeypatch.setattr(account, "person_id", meanwhile)
    delivery = ledger.queue_message(bot, campaign, None, "Hello", peer_username="maria")
    stage.start()
    try:
        wait_until(lambda: Delivery.objects.get(id=delivery.id).state == "refused")
    finally:
        stage.close()
    delivery.refresh_from_db()
    assert (account.texts(), delivery.peer_id, delivery.counted_at) == ([], 4242, None)
    assert delivery.error == "This person asked not to be written to."
    assert Suppression.objects.get().telegram_user_id == 4242


def test_a_lead_known_by_username_who_turns_out_to_be_suppressed_is_opted_out(world):
    suppression_add(telegram_user_id=501, username="other_name", source=OPERATOR)
    lead = world.receive(telegram_user_id=None)
    [out] = claim(ledger.owners(*world.managers)).outgoing
    assert not recipient_identified(out, 501, "tea_lover")
    lead.refresh_from_db()
    assert (lead.state, lead.telegram_user_id, lead.conversation.owner) == (Lead.State.OPTED_OUT, 501, "none")


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_meets_several_suppressed_names_never_waits_in_a_circle_with_a_claim():
    world = make_world()
    for manager in world.managers:
        # Who has no username is written to by an account in the chat.
        Presence.objects.create(bot=manager, chat=world.chat, peer_id=world.chat.telegram_id or 0)
    events = []
    for user_id, name in ((501, "first"), (502, "second")):
        world.receive(telegram_user_id=user_id, username="")
        by_name(name)
        events.append(NewTargetMessage.model_validate(world.event(telegram_user_id=user_id, username=name)))
    with transaction.atomic():
        list(Conversation.objects.filter(lead__telegram_user_id=502).select_for_update())
        batch = in_thread(lambda: leads_receive(events=events))
        wait_until(somebody_waits_for_a_lock, what="the batch waiting for the claim")
        suppressions_lock_shared()
    batch.join(60)
    assert {lead.state for lead in Lead.objects.all()} == {Lead.State.OPTED_OUT}
    assert {row.telegram_user_id for row in Suppression.objects.all()} == {501, 502}
