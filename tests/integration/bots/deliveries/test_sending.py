"""From claimed to settled: what each answer of Telegram's makes of a delivery."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from bots.deliveries import recovery
from bots.deliveries.outcomes import LOST_BEFORE
from bots.gate.verdicts import Wait
from bots.models import Bot, BotBlock, Delivery, DeliveryEvent, Incident
from bots.worker.sending import attempts, sender
from campaigns.models import Chat, Purpose
from campaigns.services import campaign_pause, campaign_resume
from telegram.errors import (
    AlreadySent,
    BotDead,
    BotRestricted,
    ChatRefuses,
    PassingError,
    PeerRefuses,
    PermanentError,
    RetryAfter,
)
from tests.integration import ledger
from tests.integration.stage import LOST, until, until_state
from tests.support import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
State = Delivery.State


def test_a_message_is_sent_recorded_and_settled_once(stage, origin):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account = stage.put(bot)
    stage.start()
    delivery = ledger.queue_message(bot, campaign, None, "Hello", peer_username="maria")
    until_state(delivery, State.SENT)
    assert (delivery.telegram_message_id, delivery.peer_id, delivery.waiting_reason) == (1, 4242, "")
    assert delivery.sent_at is not None
    assert (account.requests, account.texts()) == ([delivery.random_id], ["Hello"])
    assert origin.settled == [(delivery.id, State.SENT)]


def test_messages_of_one_bot_leave_one_after_the_other_in_order(stage):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account = stage.put(bot)
    deliveries = [ledger.queue_message(bot, campaign, 7, str(number)) for number in range(6)]
    stage.start()
    until_state(deliveries[-1], State.SENT)
    assert account.texts() == [str(number) for number in range(6)]


def test_bots_do_not_wait_for_each_other(stage):
    slow, quick, campaign = ledger.make_bot(), ledger.make_bot(), ledger.make_campaign()
    gate = stage.put(slow).before_send = threading.Event()
    stage.put(quick)
    held, free = ledger.queue_message(slow, campaign, 7), ledger.queue_message(quick, campaign, 7)
    stage.start()
    until_state(free, State.SENT)
    assert Delivery.objects.get(id=held.id).state == State.SENDING
    gate.set()
    until_state(held, State.SENT)


def test_flood_wait_is_kept_in_full_and_waited_for(stage, origin):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account = stage.put(bot)
    account.answers = [RetryAfter(42, "FLOOD_WAIT_42", "SendMessage")]
    delivery = ledger.queue_message(bot, campaign, 7)
    before = timezone.now()
    stage.start()
    until(delivery, lambda row: row.waiting_until is not None and row.waiting_reason.startswith("FLOOD_WAIT_42"))
    block = BotBlock.objects.get(bot=bot)
    assert (block.method, block.peer_id, block.reason) == ("SendMessage", 0, "FLOOD_WAIT_42")
    assert delivery.waiting_until == block.until >= before + timedelta(seconds=42)
    assert (delivery.counted_at, account.sent, origin.settled) == (None, {}, [])
    BotBlock.objects.all().delete()
    campaign_pause(campaign_id=campaign.id)
    campaign_resume(campaign_id=campaign.id)
    until_state(delivery, State.SENT)
    assert set(account.requests) == {delivery.random_id}


def test_slow_mode_blocks_one_chat_and_replaces_a_wait_that_is_over(stage):
    bot, campaign, chat = ledger.make_bot(), ledger.make_campaign(), ledger.make_chat()
    stage.put(bot, chat).answers = [RetryAfter(10, "SLOWMODE_WAIT_10", "SendMessage")]
    assert chat.telegram_id is not None
    BotBlock.objects.create(
        bot=bot, method="SendMessage", peer_id=chat.telegram_id, until=timezone.now() - timedelta(hours=1), reason="old"
    )
    delivery = ledger.queue_line(bot, campaign, chat)
    stage.start()
    until(delivery, lambda row: row.waiting_reason.startswith("SLOWMODE_WAIT_10"))
    block = BotBlock.objects.get(bot=bot)
    assert (block.peer_id, block.reason) == (chat.telegram_id, "SLOWMODE_WAIT_10")


def test_a_restriction_stops_first_contacts_until_an_operator_releases_it(stage):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account = stage.put(bot)
    account.answers = [BotRestricted("PEER_FLOOD")]
    first = ledger.queue_message(bot, campaign, 7, ledger.DISCLOSED, purpose=Purpose.FIRST_CONTACT)
    stage.start()
    until(
        first,
        lambda row: row.state == State.QUEUED and "releases the restriction" in row.waiting_reason,
    )
    assert Bot.objects.get(id=bot.id).state == Bot.State.RESTRICTED
    answer = ledger.queue_message(bot, campaign, 8)
    until_state(answer, State.SENT)
    assert account.requests == [first.random_id, answer.random_id]


def test_an_answer_that_met_the_restriction_is_not_repeated_against_it(stage):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account = stage.put(bot)
    account.answers = [BotRestricted("PEER_FLOOD")]
    answer = ledger.queue_message(bot, campaign, 7)
    stage.start()
    until(
        answer,
        lambda row: row.state == State.QUEUED and "releases the restriction" in row.waiting_reason,
    )
    Bot.objects.filter(id=bot.id).update(state=Bot.State.ONLINE)
    until_state(answer, State.SENT)
    assert account.requests == [answer.random_id] * 2


@pytest.mark.parametrize("needs_login", [True, False])
def test_the_deliveries_of_a_dead_bot_wait_and_go_to_no_other_bot(stage, origin, needs_login):
    bot, other, campaign = ledger.make_bot(), ledger.make_bot(), ledger.make_campaign()
    account, idle = stage.put(bot), stage.put(other)
    account.answers = [BotDead("AUTH_KEY_DUPLICATED", needs_login=needs_login)]
    session = stage.sessions[bot.id]
    session.report = lambda error: (session.reports.append(error), setattr(session, "ready", False))  # type: ignore[func-returns-value]
    delivery = ledger.queue_message(bot, campaign, 7)
    stage.start()
    until(delivery, lambda row: row.state == State.QUEUED and bool(row.waiting_reason))
    assert "AUTH_KEY_DUPLICATED" in delivery.waiting_reason or "not connected" in delivery.waiting_reason
    # It is told after that was written down.
    wait_until(lambda: session.reports, what="the session told")
    assert [error.reason for error in session.reports] == ["AUTH_KEY_DUPLICATED"]
    assert (idle.requests, origin.settled, delivery.bot_id) == ([], [], bot.id)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PeerRefuses("USER_IS_BLOCKED"), "peer_refuses"),
        (ChatRefuses("CHAT_WRITE_FORBIDDEN"), "chat_refuses"),
        (PermanentError("MESSAGE_TOO_LONG"), "permanent"),
    ],
)
def test_a_refusal_of_telegrams_fails_the_delivery_for_good(stage, origin, error, kind):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account = stage.put(bot)
    account.answers = [error]
    delivery = ledger.queue_message(bot, campaign, 7)
    stage.start()
    until_state(delivery, State.FAILED)
    assert (delivery.error_kind, delivery.error) == (kind, error.reason)
    assert origin.settled == [(delivery.id, State.FAILED)]
    assert len(account.requests) == 1


def test_after_an_unknown_error_the_same_random_id_is_used_up_to_the_limit_of_attempts(stage, origin, monkeypatch):
    """Whether the message was sent is looked up before it counts as failed."""
    monkeypatch.setattr(sender, "LOOK_FIRST", 0.01)
    monkeypatch.setattr(sender, "LOOK_MOST", 0.01)
    monkeypatch.setattr(sender, "STRANDED_POLL", 0.01)
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account = stage.put(bot)
    account.answers = [PassingError("SOMETHING_NEW")] * (recovery.MAX_ATTEMPTS + 5)
    delivery = ledger.queue_message(bot, campaign, 7)
    stage.start()
    until_state(delivery, State.FAILED)
    assert (delivery.error_kind, account.sent) == ("transient", {})
    assert account.requests == [delivery.random_id] * len(account.requests)
    assert len(account.requests) <= recovery.MAX_ATTEMPTS + 1
    assert origin.settled == [(delivery.id, State.FAILED)]


def test_a_refusal_that_may_pass_is_put_back_and_keeps_the_account_from_nothing(stage, monkeypatch):
    monkeypatch.setattr(attempts, "PASSING_FIRST", 0.01)
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    refusal = PassingError("SOMETHING_NEW")
    refusal.refused = True
    stage.put(bot).answers = [refusal]
    delivery = ledger.queue_message(bot, campaign, 7)
    stage.start()
    until_state(delivery, State.SENT)
    story = set(DeliveryEvent.objects.filter(delivery=delivery).values_list("kind", flat=True))
    assert DeliveryEvent.Kind.PUT_BACK in story
    assert DeliveryEvent.Kind.UNANSWERED not in story
    assert delivery.attempts == 2


def test_an_error_that_may_pass_before_the_message_is_sent_is_waited_out_and_ends_at_the_ceiling(
    stage, origin, monkeypatch
):
    monkeypatch.setattr(attempts, "PASSING_FIRST", 0.01)
    monkeypatch.setattr(attempts, "PASSING_MOST", 0.01)
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account = stage.put(bot)
    account.lookup_errors = [PassingError("SOMETHING_NEW")] * 2
    passed = ledger.queue_message(bot, campaign, None, "Hello", peer_username="maria")
    stage.start()
    until_state(passed, State.SENT)
    assert passed.attempts == 3
    account.lookup_errors = [PassingError("SOMETHING_NEW")] * (recovery.MAX_ATTEMPTS + 5)
    given_up = ledger.queue_message(bot, campaign, None, "Hello", peer_username="martha")
    until_state(given_up, State.FAILED)
    assert (given_up.error_kind, given_up.attempts) == ("transient", recovery.MAX_ATTEMPTS)
    assert "SOMETHING_NEW" in given_up.error
    assert account.requests == [passed.random_id]


def test_a_delivery_whose_history_cannot_be_read_becomes_unknown_after_a_while(stage, origin, monkeypatch):
    monkeypatch.setattr(sender, "STRANDED_POLL", 0.01)
    monkeypatch.setattr(attempts, "LOOK_UP_FOR", timedelta(0))
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account = stage.put(bot)
    account.answers = [AlreadySent("RANDOM_ID_DUPLICATE")]
    account.lookup_errors = [PassingError("SOMETHING_NEW")]
    delivery = ledger.queue_message(bot, campaign, 7)
    stage.start()
    until_state(delivery, State.UNKNOWN)
    assert "SOMETHING_NEW" in delivery.error


def test_a_wait_of_days_is_kept_whole_and_reported(stage):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    stage.put(bot).answers = [RetryAfter(10**15, "FLOOD_WAIT_1000000000000000", "SendMessage")]
    delivery = ledger.queue_message(bot, campaign, 7)
    stage.start()
    until(delivery, lambda row: row.waiting_until is not None)
    block = BotBlock.objects.get(bot=bot)
    assert delivery.waiting_until == block.until > timezone.now() + timedelta(days=3650)
    assert Incident.objects.get().reason.startswith(f"Telegram does not let account {bot} call ")


def test_a_request_without_an_answer_is_repeated_with_the_same_random_id(stage, origin):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account = stage.put(bot)
    account.answers = [LOST]
    delivery = ledger.queue_message(bot, campaign, 7)
    stage.start()
    until_state(delivery, State.SENT)
    assert (account.requests, account.texts()) == ([delivery.random_id] * 2, [delivery.text])
    assert origin.settled == [(delivery.id, State.SENT)]
    assert delivery.attempts == 2


def test_already_sent_is_answered_by_the_history(stage):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account = stage.put(bot)
    before = ledger.queue_message(bot, campaign, 7, "Yes!")
    account.answers = ["", LOST, AlreadySent("RANDOM_ID_DUPLICATE")]
    delivery = ledger.queue_message(bot, campaign, 7, "Yes!")
    stage.start()
    until_state(delivery, State.SENT)
    before.refresh_from_db()
    assert (before.telegram_message_id, delivery.telegram_message_id) == (1, 2)


def test_already_sent_without_a_trace_is_unknown(stage, origin):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    stage.put(bot).answers = [AlreadySent("RANDOM_ID_DUPLICATE")]
    delivery = ledger.queue_message(bot, campaign, 7)
    stage.start()
    until_state(delivery, State.UNKNOWN)
    assert origin.settled == [(delivery.id, State.UNKNOWN)]


def test_a_lease_that_ended_before_the_send_sends_nothing(stage, origin):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account = stage.put(bot)
    session = stage.sessions[bot.id]
    # Valid for both looks of the first round, which claims it; over when the request would go out.
    answers = iter([True, True])
    session.lease_valid = lambda: next(answers, False)
    delivery = ledger.queue_message(bot, campaign, 7)
    stage.start()
    until(delivery, lambda row: row.state == State.QUEUED and row.waiting_reason == LOST_BEFORE)
    assert account.requests == []
    assert (delivery.counted_at, delivery.attempts) == (None, 0)


def test_only_attempts_without_an_answer_are_counted(stage):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    account = stage.put(bot)
    account.answers = [BotRestricted("PEER_FLOOD")]
    delivery = ledger.queue_message(bot, campaign, 7)
    stage.start()
    until(
        delivery,
        lambda row: row.state == State.QUEUED and "releases the restriction" in row.waiting_reason,
    )
    assert delivery.attempts == 0
    account.answers = [LOST]
    Bot.objects.filter(id=bot.id).update(state=Bot.State.ONLINE)
    until_state(delivery, State.SENT)
    assert (delivery.attempts, len(account.requests)) == (2, 3)


def test_a_new_owner_applies_rules_that_changed_while_the_bot_had_no_owner(stage, origin):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    delivery = ledger.queue_message(bot, campaign, 7)
    Delivery.objects.filter(id=delivery.id).update(waiting_until=timezone.now() + timedelta(days=1))
    other = ledger.make_bot()
    stage.put(other)
    stage.start()
    until_state(ledger.queue_message(other, campaign, 8), State.SENT)
    stage.put(bot)
    until_state(delivery, State.SENT)


def test_a_rule_that_changed_while_the_sender_was_deaf_is_followed(stage, origin):
    bot, campaign = ledger.make_bot(), ledger.make_campaign()
    stage.put(bot)
    delivery = ledger.queue_message(bot, campaign, 7)
    origin.answers[delivery.origin_id] = Wait(timezone.now() + timedelta(days=1), "Tomorrow.")
    stage.start()
    until(delivery, lambda row: row.waiting_reason == "Tomorrow.")
    origin.answers.clear()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'coolthing-listen' AND datname = current_database()"
        )
        assert cursor.fetchall() == [(True,)]
    until_state(delivery, State.SENT)


def test_the_sender_requests_chats_that_the_account_has_to_join(stage):
    bot, campaign, chat = ledger.make_bot(), ledger.make_campaign(), ledger.make_chat()
    stage.put(bot)
    delivery = ledger.queue_line(bot, campaign, chat)
    stage.start()
    session = stage.sessions[bot.id]
    wait_until(lambda: session.wanted_chats > 0)
    session.chats = {chat.id: chat.telegram_id}
    until_state(delivery, State.SENT)


def test_in_a_basic_group_a_reply_waits_until_its_account_sees_the_message(stage):
    author, answering, campaign = ledger.make_bot(), ledger.make_bot(), ledger.make_campaign()
    chat = ledger.make_chat(kind=Chat.Kind.GROUP)
    stage.put(author, chat)
    account = stage.put(answering, chat)
    asked = ledger.queue_line(author, campaign, chat, "A question")
    answer = ledger.queue_line(answering, campaign, chat, "An answer", reply_to_id=asked.id)
    stage.start()
    until_state(asked, State.SENT)
    until(
        answer,
        lambda row: row.waiting_reason == "The message to which this one replies has not reached this account yet.",
    )
    assert (answer.state, account.requests) == (State.QUEUED, [])
    account.visible = {"A question": 77}.get
    until_state(answer, State.SENT)
    assert [message.reply_to for message in account.sent.values()] == [77]


def test_in_a_basic_group_a_reply_to_what_its_account_never_sees_fails(stage, origin):
    author, answering, campaign = ledger.make_bot(), ledger.make_bot(), ledger.make_campaign()
    chat = ledger.make_chat(kind=Chat.Kind.GROUP)
    stage.put(author, chat)
    asked = ledger.queue_line(author, campaign, chat, "A question")
    stage.start()
    until_state(asked, State.SENT)
    Delivery.objects.filter(id=asked.id).update(sent_at=timezone.now() - attempts.REPLY_VISIBLE_WITHIN)
    account = stage.put(answering, chat)
    answer = ledger.queue_line(answering, campaign, chat, "An answer", reply_to_id=asked.id)
    until_state(answer, State.FAILED)
    assert (answer.error, account.requests) == (attempts.NEVER_VISIBLE, [])
    assert origin.settled[-1] == (answer.id, State.FAILED)
