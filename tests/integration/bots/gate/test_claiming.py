"""Claiming: what is taken, what waits and why, in which order, and by whom."""

from datetime import UTC, datetime, time, timedelta
from uuid import uuid4

import pytest

from bots.deliveries.claiming import PER_BOT, claim, forget_waits
from bots.deliveries.outgoing import ReplyLookup
from bots.deliveries.queueing import delivery_finish
from bots.gate.facts import BEHIND, BotOwner
from bots.gate.verdicts import Refuse, Wait
from bots.models import Bot, BotBlock, BotSession, Delivery
from campaigns.models import Campaign, Chat, ChatPermission, Purpose, Suppression
from campaigns.permissions.services import permission_revoke
from campaigns.services import campaign_pause, campaign_resume
from telegram.types import ChatTarget, PersonTarget
from tests.integration import ledger

pytestmark = pytest.mark.django_db
State = Delivery.State


@pytest.fixture
def clock():
    return ledger.Clock()


@pytest.fixture
def bot(origin):
    return ledger.make_bot()


@pytest.fixture
def campaign():
    return ledger.make_campaign()


@pytest.fixture
def chat():
    return ledger.make_chat()


def finish(delivery: Delivery, message_id: int = 1) -> None:
    assert delivery_finish(
        delivery_id=delivery.id,
        was=State.SENDING,
        state=State.SENT,
        telegram_message_id=message_id,
        sent_at=ledger.START,
    )


def waiting(delivery: Delivery) -> tuple[str, datetime | None]:
    delivery.refresh_from_db()
    assert delivery.state == State.QUEUED
    return delivery.waiting_reason, delivery.waiting_until


def test_an_allowed_delivery_is_counted_and_carries_the_epoch(bot, campaign, chat, clock):
    delivery = ledger.queue_line(bot, campaign, chat, "Hello")
    [out] = claim(ledger.owners(bot, chats=[chat]), clock=clock).outgoing
    assert (out.id, out.text, out.random_id, out.epoch) == (delivery.id, "Hello", delivery.random_id, 1)
    assert out.target == ChatTarget(chat.reference, chat.telegram_id)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.lease_epoch) == (State.SENDING, 1, 1)
    assert delivery.counted_at == delivery.first_attempt_at == clock.now


def test_a_person_is_reached_through_a_shared_chat(bot, campaign, clock):
    ledger.queue_message(bot, campaign, 7, peer_username="maria", via_chat_id=-100123, via_message_id=9)
    [out] = claim(ledger.owners(bot), clock=clock).outgoing
    assert out.target == PersonTarget(7, "maria", -100123, 9)


def test_what_is_not_due_is_left_alone(bot, campaign, chat, clock):
    ledger.queue_line(bot, campaign, chat, due_at=clock.now + timedelta(seconds=1))
    assert claim(ledger.owners(bot, chats=[chat]), clock=clock).judged == 0
    clock.forward(seconds=1)
    assert len(claim(ledger.owners(bot, chats=[chat]), clock=clock).outgoing) == 1


def test_a_bot_sends_one_message_at_a_time_and_bots_send_concurrently(bot, campaign, chat, clock):
    other = ledger.make_bot()
    first, second = ledger.queue_line(bot, campaign, chat, "1"), ledger.queue_message(bot, campaign, 7)
    third = ledger.queue_line(other, campaign, chat, "3")
    mine = ledger.owners(bot, other, chats=[chat])
    assert {out.id for out in claim(mine, clock=clock).outgoing} == {first.id, third.id}
    assert claim(mine, clock=clock).judged == 0
    finish(first)
    assert [out.id for out in claim(mine, clock=clock).outgoing] == [second.id]


def test_messages_to_one_place_leave_in_order_though_the_first_waits(bot, campaign, clock, origin):
    first, second = ledger.queue_message(bot, campaign, 7, "1"), ledger.queue_message(bot, campaign, 7, "2")
    elsewhere = ledger.queue_message(bot, campaign, 8, "elsewhere")
    until = clock.now + timedelta(hours=1)
    origin.answers[first.origin_id] = Wait(until, "Later.")
    mine = ledger.owners(bot)
    [out] = claim(mine, clock=clock).outgoing
    assert out.id == elsewhere.id
    assert waiting(first) == ("Later.", until)
    finish(elsewhere)
    assert claim(mine, clock=clock).outgoing == []
    assert waiting(second) == (BEHIND, None)
    clock.forward(hours=1)
    del origin.answers[first.origin_id]
    assert [out.text for out in claim(mine, clock=clock).outgoing] == ["1"]
    finish(first)
    assert [out.text for out in claim(mine, clock=clock).outgoing] == ["2"]


def test_many_waiting_deliveries_do_not_hide_the_next(bot, campaign, clock, origin):
    paused = [ledger.queue_message(bot, campaign, peer) for peer in range(100, 100 + PER_BOT)]
    origin.answers = {delivery.origin_id: Wait(None, "Paused.") for delivery in paused}
    due = ledger.queue_message(bot, campaign, 7)
    mine = ledger.owners(bot)
    batch = claim(mine, clock=clock)
    assert sorted(batch.waiting[bot.id]) == sorted(delivery.id for delivery in paused)
    assert [out.id for out in claim(mine, skip=batch.waiting[bot.id], clock=clock).outgoing] == [due.id]


def test_for_a_bot_in_first_only_the_gate_checks_only_the_first_delivery(bot, campaign, clock, origin):
    first, second = ledger.queue_message(bot, campaign, 7), ledger.queue_message(bot, campaign, 8)
    other = ledger.make_bot()
    others = [ledger.queue_message(other, campaign, peer) for peer in (9, 10)]
    origin.answers = {delivery.origin_id: Wait(None, "Paused.") for delivery in (first, second, *others)}
    mine = ledger.owners(bot, other)
    batch = claim(mine, first_only=[bot.id], clock=clock)
    assert batch.waiting == {bot.id: [first.id], other.id: [delivery.id for delivery in others]}
    del origin.answers[second.origin_id]
    assert [out.id for out in claim(mine, skip=[first.id], first_only=[bot.id], clock=clock).outgoing] == [second.id]


def test_pausing_a_campaign_makes_its_messages_wait_and_resuming_sends_them(bot, campaign, chat, clock):
    delivery = ledger.queue_line(bot, campaign, chat)
    mine = ledger.owners(bot, chats=[chat])
    campaign_pause(campaign_id=campaign.id)
    assert claim(mine, clock=clock).outgoing == []
    assert waiting(delivery) == (f"Campaign “{campaign.name}” is paused.", None)
    campaign_resume(campaign_id=campaign.id)
    assert len(claim(mine, clock=clock).outgoing) == 1


def test_a_refused_delivery_settles_once(bot, campaign, chat, clock, origin):
    delivery = ledger.queue_line(bot, campaign, chat)
    origin.answers[delivery.origin_id] = Refuse("The play was stopped.")
    assert claim(ledger.owners(bot, chats=[chat]), clock=clock).refused == 1
    assert claim(ledger.owners(bot, chats=[chat]), clock=clock).judged == 0
    delivery.refresh_from_db()
    assert (delivery.state, delivery.error, delivery.counted_at) == (State.REFUSED, "The play was stopped.", None)
    assert origin.settled == [(delivery.id, State.REFUSED)]


def test_a_delivery_that_its_origin_leaves_out_is_refused(bot, campaign, chat, clock, origin, monkeypatch):
    monkeypatch.setattr(origin, "verdicts", lambda deliveries, now: {})
    ledger.queue_line(bot, campaign, chat)
    assert claim(ledger.owners(bot, chats=[chat]), clock=clock).refused == 1


def test_an_origin_without_code_here_makes_it_wait(bot, campaign, chat, clock):
    delivery = ledger.queue_line(bot, campaign, chat, origin="tests.elsewhere")
    claim(ledger.owners(bot, chats=[chat]), clock=clock)
    assert waiting(delivery) == ("This worker has no code for messages of the kind “tests.elsewhere”.", None)


def test_without_the_owners_permission_nothing_is_sent_to_a_chat(bot, campaign, clock):
    chat = ledger.make_chat()
    delivery = ledger.queue_line(bot, campaign, chat)
    permission_revoke(chat_id=chat.id, purpose=ChatPermission.Grant.SCRIPT)
    assert claim(ledger.owners(bot, chats=[chat]), clock=clock).refused == 1
    delivery.refresh_from_db()
    assert delivery.error.startswith(f"No permission from the owner of “{chat.title}” is in force: it was rev")


def test_a_label_that_was_taken_away_ends_the_scripts_of_its_chat(bot, campaign, clock, origin):
    """Activation asked for one; the gate does not rely on what was so then."""
    chat = ledger.make_chat()
    before, after = ledger.queue_line(bot, campaign, chat), ledger.queue_line(bot, campaign, chat)
    [out] = claim(ledger.owners(bot, chats=[chat]), clock=clock).outgoing
    finish(before)
    Chat.objects.filter(id=chat.id).update(label=" ")
    assert claim(ledger.owners(bot, chats=[chat]), clock=clock).refused == 1
    after.refresh_from_db()
    assert after.error == f"“{chat.title}” has no label: enter the text that informs its members of the scripts."
    assert out.id == before.id and origin.settled == [(before.id, State.SENT), (after.id, State.REFUSED)]


def test_a_chat_that_the_account_is_not_in_is_waited_for_and_reported(bot, campaign, chat, clock):
    delivery = ledger.queue_line(bot, campaign, chat)
    batch = claim(ledger.owners(bot), clock=clock)
    assert batch.joining == {bot.id}
    reason = (
        f"{bot.key} is not a member of “{chat.title}” yet and joins it when it is connected and its limits allow it."
    )
    assert waiting(delivery) == (reason, None)


@pytest.mark.parametrize(
    ("wish", "suppressed"),
    [
        ({"peer_id": 7}, {"telegram_user_id": 7}),
        ({"peer_id": None, "peer_username": "Maria"}, {"telegram_user_id": None, "username": "maria"}),
        ({"peer_id": 8, "peer_username": "maria"}, {"telegram_user_id": None, "username": "maria"}),
    ],
)
def test_a_person_who_wrote_stop_is_not_written_to(bot, campaign, clock, wish, suppressed):
    delivery = ledger.queue_message(bot, campaign, **wish)
    # A row that no service wrote: the service would have cancelled the message, and the gate must refuse it by itself.
    Suppression.objects.create(**suppressed, source=Suppression.Source.WORDS)
    assert claim(ledger.owners(bot), clock=clock).refused == 1
    delivery.refresh_from_db()
    assert delivery.error == "This person asked not to be written to."


@pytest.mark.parametrize("peer_id", [8, None])
def test_a_former_username_of_a_suppressed_person_suppresses_nobody_else(bot, campaign, clock, peer_id):
    """Known by the id: another person. By the name only: who it is, and whether they said stop, is found out first."""
    ledger.queue_message(bot, campaign, peer_id, peer_username="maria")
    Suppression.objects.create(telegram_user_id=7, username="MARIA", source=Suppression.Source.WORDS)
    assert len(claim(ledger.owners(bot), clock=clock).outgoing) == 1


def test_a_first_contact_must_disclose_in_the_campaigns_language(bot, clock):
    campaign = ledger.make_campaign(locale="ru")
    first = {"purpose": Purpose.FIRST_CONTACT}
    bad = ledger.queue_message(bot, campaign, 7, ledger.DISCLOSED, **first)
    good = ledger.queue_message(bot, campaign, 8, "Я ИИ-помощник «Сада». Напишите «стоп», и я замолчу.", **first)
    batch = claim(ledger.owners(bot), clock=clock)
    assert ([out.id for out in batch.outgoing], batch.refused) == ([good.id], 1)
    bad.refresh_from_db()
    assert bad.state == State.REFUSED


def test_quiet_hours_make_scripts_wait_until_morning(bot, chat):
    campaign = ledger.make_campaign(time_zone="Europe/Berlin", quiet_from=time(22), quiet_to=time(8))
    clock = ledger.Clock(datetime(2026, 11, 23, 23, 0, tzinfo=UTC))
    line, answer = ledger.queue_line(bot, campaign, chat), ledger.queue_message(bot, campaign, 7)
    mine, morning = ledger.owners(bot, chats=[chat]), datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
    assert [out.id for out in claim(mine, clock=clock).outgoing] == [answer.id]
    finish(answer)
    assert waiting(line)[1] == morning
    clock.now = morning - timedelta(seconds=1)
    assert claim(mine, clock=clock).judged == 0
    clock.now = morning
    assert [out.id for out in claim(mine, clock=clock).outgoing] == [line.id]


def test_a_flood_wait_blocks_the_bot_or_one_chat(bot, campaign, chat, clock):
    slow, until = ledger.make_chat(), clock.now + timedelta(seconds=30)
    assert slow.telegram_id is not None
    BotBlock.objects.create(
        bot=bot, method="SendMessage", peer_id=slow.telegram_id, until=until, reason="SLOWMODE_WAIT_30"
    )
    held, free = ledger.queue_line(bot, campaign, slow), ledger.queue_line(bot, campaign, chat)
    mine = ledger.owners(bot, chats=[chat, slow])
    assert [out.id for out in claim(mine, clock=clock).outgoing] == [free.id]
    assert waiting(held) == (f"SLOWMODE_WAIT_30: Telegram asked {bot.key} to wait.", until)
    finish(free)
    BotBlock.objects.create(bot=bot, method="SendMessage", until=until, reason="FLOOD_WAIT_30")
    ledger.queue_line(bot, campaign, chat)
    assert claim(mine, clock=clock).outgoing == []
    clock.now = until
    assert len(claim(mine, clock=clock).outgoing) == 1


def test_a_flood_wait_for_another_method_does_not_block_sending(bot, campaign, chat, clock):
    until = clock.now + timedelta(seconds=30)
    for method in ("GetHistory", "ResolveUsername", "JoinChannel"):
        BotBlock.objects.create(bot=bot, method=method, until=until, reason="FLOOD_WAIT_30")
    line = ledger.queue_line(bot, campaign, chat)
    by_name = ledger.queue_message(bot, campaign, None, peer_username="maria")
    mine = ledger.owners(bot, chats=[chat])
    assert [out.id for out in claim(mine, clock=clock).outgoing] == [line.id]
    finish(line)
    assert claim(mine, clock=clock).outgoing == []
    assert waiting(by_name)[1] == until


def test_a_rule_that_changed_ends_a_wait_with_a_known_end(bot, campaign, chat, clock, origin):
    delivery = ledger.queue_line(bot, campaign, chat)
    origin.answers[delivery.origin_id] = Wait(clock.now + timedelta(days=1), "Tomorrow.")
    mine = ledger.owners(bot, chats=[chat])
    claim(mine, clock=clock)
    origin.answers.clear()
    assert claim(mine, clock=clock).judged == 0
    assert forget_waits([bot.id]) == 1
    assert len(claim(mine, clock=clock).outgoing) == 1


@pytest.mark.parametrize(
    "lost", [{"lease_epoch": 2}, {"lease_expires_at": ledger.START - timedelta(seconds=1)}, {"lease_expires_at": None}]
)
def test_a_bot_that_another_process_owns_sends_nothing(bot, campaign, chat, clock, lost):
    delivery = ledger.queue_line(bot, campaign, chat)
    held = {bot.id: BotOwner(1, frozenset([chat.id]))}
    BotSession.objects.create(bot=bot, data="session")
    Bot.objects.filter(id=bot.id).update(**lost)
    assert claim(held, clock=clock).outgoing == []
    assert waiting(delivery) == (f"{bot.key} is not connected.", None)


def test_a_restricted_bot_makes_no_first_contacts_but_answers(bot, campaign, clock):
    Bot.objects.filter(id=bot.id).update(state=Bot.State.RESTRICTED)
    first = ledger.queue_message(bot, campaign, 7, ledger.DISCLOSED, purpose=Purpose.FIRST_CONTACT)
    answer = ledger.queue_message(bot, campaign, 8)
    assert [out.id for out in claim(ledger.owners(bot), clock=clock).outgoing] == [answer.id]
    assert "releases the restriction" in waiting(first)[0]


@pytest.mark.parametrize(
    ("kind", "other_bot", "looked_up"),
    [
        (Chat.Kind.SUPERGROUP, True, False),
        (Chat.Kind.GROUP, True, True),
        (Chat.Kind.GROUP, False, False),
    ],
)
def test_a_reply_names_the_message_as_the_replying_account_numbers_it(
    campaign, clock, origin, kind, other_bot, looked_up
):
    chat, author = ledger.make_chat(kind=kind), ledger.make_bot()
    answering = ledger.make_bot() if other_bot else author
    mine = ledger.owners(author, answering, chats=[chat])
    said = ledger.queue_line(author, campaign, chat, "A question")
    claim(mine, clock=clock)
    finish(said, message_id=41)
    ledger.queue_line(answering, campaign, chat, "An answer", reply_to_id=said.id)
    [out] = claim(mine, clock=clock).outgoing
    assert author.telegram_user_id is not None
    expected = ReplyLookup(author.telegram_user_id, "A question", ledger.START) if looked_up else 41
    assert out.reply_to == expected


def test_an_answer_waits_for_what_it_answers(campaign, chat, clock, origin):
    author, answering = ledger.make_bot(), ledger.make_bot()
    asked = ledger.queue_line(author, campaign, chat, "A question", due_at=clock.now + timedelta(seconds=5))
    answer = ledger.queue_line(answering, campaign, chat, "An answer", reply_to_id=asked.id)
    claim(ledger.owners(answering, chats=[chat]), clock=clock)
    assert waiting(answer) == ("The message to which this one replies has not been sent yet.", None)


def test_a_finished_campaign_refuses_what_is_queued(bot, chat, clock):
    campaign = ledger.make_campaign(state=Campaign.State.FINISHED)
    ledger.queue_line(bot, campaign, chat, origin_id=uuid4())
    assert claim(ledger.owners(bot, chats=[chat]), clock=clock).refused == 1
