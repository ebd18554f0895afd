"""What people do in their direct chat with a manager reaches the rules about it, live and after a time without a
connection."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from bots.models import Bot, BotBlock, BotStateChange
from bots.worker.runtime import Runtime
from campaigns.suppressions.lookup import is_suppressed
from leads.models import Conversation, Lead, Message
from leads.selectors import leads_unrecorded, received_since
from leads.services.incoming import message_record, messages_changed
from sandbox.world.actions import message_changes, sending
from sandbox.world.entities import User
from sandbox.world.faults import Fault, FaultKind
from telegram import calls
from telegram.types import IncomingMessage, MessageNow
from tests.integration import ledger
from tests.support import wait_until
from tests.telegram.bots_support import Company, Listener, company_with


class Manager(Listener):
    """Does with messages what a manager does."""

    def on_messages(self, *, messages: Mapping[UUID, Sequence[IncomingMessage]]) -> None:
        for bot_id, heard in messages.items():
            for message in heard:
                message_record(bot_id=bot_id, message=message)
                super().on_messages(messages={bot_id: [message]})

    def on_changes(self, *, bot_id: UUID, changes: Sequence[MessageNow]) -> list[MessageNow]:
        return messages_changed(bot_id=bot_id, changes=changes)

    def received_since(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        return received_since(bot_id=bot_id, since=since, most=most)

    def people_unrecorded(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        return leads_unrecorded(bot_id=bot_id, since=since, most=most)


@pytest.fixture
def company(key_dir: Path, settings: Any, transactional_db: None) -> Iterator[Company]:
    with company_with(Manager(reads_chats=False, reads_private=True), key_dir, settings) as company:
        yield company


def with_conversation(company: Company) -> tuple[Bot, Conversation]:
    """A bot that an operator answers with: no LLM is asked here."""
    bot = company.make_bot("manager")
    return bot, conversation_with_lead(company.pavel, bot)


def conversation_with_lead(person: Any, bot: Bot) -> Conversation:
    campaign = ledger.make_campaign()
    facts = {"message": "tea?", "chat_id": -1001, "worker_id": "ears", "event_id": uuid4(), "hit_at": timezone.now()}
    lead = Lead.objects.create(campaign=campaign, telegram_user_id=person.id, username=person.username, **facts)
    return Conversation.objects.create(lead=lead, bot=bot, owner="human", peer_id=person.id)


def say_to(company: Company, person: Any, bot: Bot, *texts: str) -> None:
    for text in texts:
        company.sandbox.call(sending.send, company.world, user_id=person.id, peer=bot.telegram_user_id, text=text)


def until_suppressed(person: Any) -> None:
    wait_until(lambda: is_suppressed(telegram_user_id=person.id), what=f"{person.first_name} suppressed")


def do(company: Company, what: Any, **values: Any) -> None:
    company.sandbox.call(lambda: what(company.world, **values))


def test_a_message_edited_to_stop_is_noticed(company: Company):
    bot, _ = with_conversation(company)
    company.run(company.start(), bot)
    company.online(bot)
    company.say(bot.telegram_user_id, "ok")
    company.until_heard(bot, 1)
    do(company, message_changes.edit, user_id=company.pavel.id, seq=1, text="STOP")
    until_suppressed(company.pavel)


def test_an_edit_to_stop_and_a_deletion_are_found_after_a_time_without_a_connection(company: Company):
    bot, conversation = with_conversation(company)
    runtime = company.start()
    [task] = company.run(runtime, bot)
    company.online(bot)
    company.say(bot.telegram_user_id, "ok", "a slip")
    company.until_heard(bot, 2)
    runtime.sessions[bot.pk].stop()
    task.join(60)
    do(company, message_changes.edit, user_id=company.pavel.id, seq=1, text="STOP")
    do(company, message_changes.delete_for_all, seq=2)
    company.run(runtime, bot)
    until_suppressed(company.pavel)
    slip = Message.objects.filter(conversation=conversation, text="a slip", deleted_at__isnull=False)
    wait_until(slip.exists, what="the deletion")


def asked_by_pavel(company: Company) -> tuple[Bot, Runtime, Thread]:
    """Another account than the one that has the conversation with him, to which he has written, too."""
    with_conversation(company)
    other = company.make_bot("other")
    runtime = company.start()
    [task] = company.run(runtime, other)
    company.online(other)
    company.say(other.telegram_user_id, "ok")
    company.until_heard(other, 1)
    return other, runtime, task


@pytest.mark.parametrize("connected", [True, False])
def test_an_edit_to_stop_is_noticed_by_an_account_without_the_conversation(company: Company, connected: bool):
    other, runtime, task = asked_by_pavel(company)
    if not connected:
        runtime.sessions[other.pk].stop()
        task.join(60)
    do(company, message_changes.edit, user_id=company.pavel.id, seq=1, text="STOP")
    if not connected:
        company.run(runtime, other)
    until_suppressed(company.pavel)


def test_an_account_that_may_not_look_through_its_chats_for_now_works_on(company: Company):
    other, runtime, task = asked_by_pavel(company)
    runtime.sessions[other.pk].stop()
    task.join(60)
    wait = Fault(kind="FLOOD_WAIT", method="messages.getHistory", user=other.telegram_user_id, seconds=300)
    company.sandbox.call(company.sandbox.faults.plan, wait)
    company.run(runtime, other)
    wait_until(BotBlock.objects.filter(bot=other, method="GetMessages").exists, what="the wait")
    company.until_state(other, "online")
    company.say(other.telegram_user_id, "STOP")
    until_suppressed(company.pavel)


@pytest.mark.parametrize("method", ["messages.getDialogs", "messages.getMessages", "channels.joinChannel"])
def test_a_stop_is_received_during_a_flood_wait_for_another_method(company: Company, monkeypatch: Any, method: str):
    """Nothing but the recording of what comes in can bring the suppression: the answer comes after it."""
    patient(monkeypatch)
    bot, _ = with_conversation(company)
    runtime = company.start()
    [task] = company.run(runtime, bot)
    company.online(bot)
    company.say(bot.telegram_user_id, "ok")
    company.until_heard(bot, 1)
    runtime.sessions[bot.pk].stop()
    task.join(60)
    _, chat = company.make_chat("square")
    company.role.places[bot.pk] = [chat]
    wait = Fault(kind="DELAY_ANSWER", method=method, user=bot.telegram_user_id, times=None)
    company.sandbox.call(company.sandbox.faults.plan, wait)
    company.run(runtime, bot)
    wait_until(lambda: company.sandbox.faults.delayed, what=f"{method} unanswered")
    company.say(bot.telegram_user_id, "STOP")
    until_suppressed(company.pavel)
    assert company.until_heard(bot, 2) == ["ok", "STOP"]
    assert company.sandbox.faults.delayed
    company.sandbox.call(company.sandbox.faults.clear)
    company.online(bot)


@pytest.mark.parametrize(
    ("refusal", "shown"),
    [
        (
            Fault(kind="FLOOD_WAIT", method="messages.getDialogs", seconds=500),
            ("waiting", "FLOOD_WAIT_500 (GetDialogs)"),
        ),
        (
            Fault(kind="INTERNAL", method="messages.getDialogs", times=None),
            ("waiting", "does not list the account's chats"),
        ),
        (Fault(kind="PEER_FLOOD", method="messages.getDialogs", times=None), ("restricted", "PEER_FLOOD")),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_a_stop_is_received_while_telegram_does_not_list_the_accounts_chats(
    company: Company, monkeypatch: Any, refusal: Fault, shown: tuple[str, str]
):
    monkeypatch.setattr("bots.worker.dialog_listing.REFUSED_SECONDS", 0.1)
    bot, _ = with_conversation(company)
    company.sandbox.call(company.sandbox.faults.plan, refusal)
    company.run(company.start(), bot)
    state = company.until_state(bot, shown[0])
    assert shown[1] in state.state_reason
    company.say(bot.telegram_user_id, "STOP")
    until_suppressed(company.pavel)
    assert not BotStateChange.objects.filter(bot=bot, reason__startswith="Reconnecting").exists()


@pytest.mark.parametrize("kind", ["FLOOD_WAIT", "INTERNAL"])
def test_an_account_works_once_telegram_lists_its_chats(company: Company, monkeypatch: Any, kind: FaultKind):
    monkeypatch.setattr("bots.worker.dialog_listing.REFUSED_SECONDS", 0.1)
    bot, _ = with_conversation(company)
    company.sandbox.call(company.sandbox.faults.plan, Fault(kind=kind, method="messages.getDialogs", seconds=1))
    company.run(company.start(), bot)
    company.online(bot)
    assert BotStateChange.objects.filter(bot=bot, state="waiting").exists()


def patient(monkeypatch: Any) -> None:
    """No time limit of a request ends a connection meanwhile."""
    limited = calls.guarded
    monkeypatch.setattr(calls, "guarded", lambda awaitable, _limit=0.0: limited(awaitable, 600.0))


def away_from_two(company: Company) -> tuple[Bot, User, Runtime]:
    """A bot that has heard a message of Pavel's and one of Vera's, and is not connected now."""
    bot, _ = with_conversation(company)
    vera = company.make_user("Vera")
    conversation_with_lead(vera, bot)
    runtime = company.start()
    [task] = company.run(runtime, bot)
    company.online(bot)
    say_to(company, vera, bot, "hello")
    company.say(bot.telegram_user_id, "hello")
    company.until_heard(bot, 2)
    runtime.sessions[bot.pk].stop()
    task.join(60)
    return bot, vera, runtime


def test_a_stop_is_received_while_telegram_does_not_send_the_history_of_another_chat(
    company: Company, monkeypatch: Any
):
    patient(monkeypatch)
    bot, vera, runtime = away_from_two(company)
    say_to(company, vera, bot, "two")
    wait = Fault(kind="DELAY_ANSWER", method="messages.getHistory", user=bot.telegram_user_id, chat=vera.id)
    company.sandbox.call(company.sandbox.faults.plan, wait)
    company.run(runtime, bot)
    wait_until(lambda: company.sandbox.faults.delayed, what="the history unanswered")
    company.say(bot.telegram_user_id, "STOP")
    until_suppressed(company.pavel)
    assert company.until_heard(bot, 3)[2:] == ["STOP"] and not company.is_ready(bot)
    # The history's answer does not have it, and left out it is not for ever.
    say_to(company, vera, bot, "three")
    wait_until(lambda: not runtime.sessions[bot.pk]._reading.inbox, what="it is left out")
    company.sandbox.call(company.sandbox.faults.clear)
    assert company.until_heard(bot, 5)[3:] == ["two", "three"]
    company.online(bot)


def test_one_long_history_keeps_no_other_waiting(company: Company, monkeypatch: Any):
    monkeypatch.setattr("bots.worker.reading.PAGE", 10)
    bot, vera, runtime = away_from_two(company)
    say_to(company, vera, bot, *(f"v{number}" for number in range(35)))
    company.say(bot.telegram_user_id, "STOP")
    say_to(company, vera, bot, "the last")
    company.run(runtime, bot)
    texts = company.until_heard(bot, 2 + 37)[2:]
    assert texts.index("STOP") <= 10
    assert [text for text in texts if text != "STOP"] == [*(f"v{number}" for number in range(35)), "the last"]


@pytest.mark.parametrize("speaker", ["a lead", "somebody new"])
def test_updates_that_are_too_many_for_telegram_to_send_are_read(company: Company, speaker: str):
    bot, _ = with_conversation(company)
    company.run(company.start(), bot)
    company.online(bot)
    company.say(bot.telegram_user_id, "ok")
    company.until_heard(bot, 1)
    vera = company.pavel if speaker == "a lead" else company.make_user("Vera")
    kinds: tuple[FaultKind, ...] = ("UPDATE_LOST", "DIFFERENCE_TOO_LONG")
    for kind in kinds:
        company.sandbox.call(company.sandbox.faults.plan, Fault(kind=kind, user=bot.telegram_user_id))
    company.say(bot.telegram_user_id, "STOP")
    say_to(company, vera, bot, "shows the gap")
    wait_until(lambda: not company.sandbox.faults.as_json(), what="the difference asked for")
    # In the same chat: the cursor must not pass what is not read yet.
    company.say(bot.telegram_user_id, "afterwards")
    until_suppressed(company.pavel)
    texts = company.until_heard(bot, 4)
    assert sorted(texts) == sorted(["ok", "STOP", "shows the gap", "afterwards"])
    assert texts.index("STOP") < texts.index("afterwards")
    assert not BotStateChange.objects.filter(bot=bot, reason__startswith="Reconnecting").exists()
    company.online(bot)


def test_messages_during_the_first_connect_are_read_and_older_chats_are_not(company: Company, monkeypatch: Any):
    patient(monkeypatch)
    bot, _ = with_conversation(company)
    company.say(bot.telegram_user_id, "before")
    wait = Fault(kind="DELAY_ANSWER", method="messages.getDialogs", user=bot.telegram_user_id)
    company.sandbox.call(company.sandbox.faults.plan, wait)
    company.run(company.start(), bot)
    wait_until(lambda: company.sandbox.faults.delayed, what="the list of chats unanswered")
    company.say(bot.telegram_user_id, "STOP")
    until_suppressed(company.pavel)
    company.sandbox.call(company.sandbox.faults.clear)
    company.online(bot)
    assert company.role.texts(bot) == ["STOP"]
