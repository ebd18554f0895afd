"""What people do in their direct chat with a manager reaches the rules about it, live and after a time without a
connection."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from bots.models import Bot
from campaigns.selectors import is_suppressed
from leads.models import Conversation, Lead, Message
from leads.selectors import heard_since
from leads.services import message_record
from leads.services.changing import messages_changed
from sandbox import afterwards
from telegram.types import IncomingMessage, MessageNow
from tests.integration import ledger
from tests.support import wait_until
from tests.telegram.bots_support import Company, Listener, company_with


class Manager(Listener):
    """Does with messages what a manager does."""

    def on_message(self, *, bot_id: UUID, message: IncomingMessage) -> None:
        message_record(bot_id=bot_id, message=message)
        super().on_message(bot_id=bot_id, message=message)

    def on_changes(self, *, bot_id: UUID, changes: Sequence[MessageNow]) -> list[MessageNow]:
        return messages_changed(bot_id=bot_id, changes=changes)

    def heard_since(self, *, bot_id: UUID, since: datetime, most: int) -> list[int]:
        return heard_since(bot_id=bot_id, since=since, most=most)


@pytest.fixture
def company(key_dir: Path, settings: Any, transactional_db: None) -> Iterator[Company]:
    with company_with(Manager(reads_chats=False, reads_private=True), key_dir, settings) as company:
        yield company


def talking(company: Company) -> tuple[Bot, Conversation]:
    """A bot that an operator answers with: no LLM is asked here."""
    bot = company.make_bot("manager")
    return bot, talk_with(company.pavel, bot)


def talk_with(person: Any, bot: Bot) -> Conversation:
    campaign = ledger.make_campaign()
    facts = {"message": "tea?", "chat_id": -1001, "worker_id": "ears", "event_id": uuid4(), "hit_at": timezone.now()}
    lead = Lead.objects.create(campaign=campaign, telegram_user_id=person.id, username=person.username, **facts)
    return Conversation.objects.create(lead=lead, bot=bot, owner="human", peer_id=person.id)


def until_suppressed(person: Any) -> None:
    wait_until(lambda: is_suppressed(telegram_user_id=person.id), what=f"{person.first_name} suppressed")


def do(company: Company, what: Any, **values: Any) -> None:
    company.sandbox.call(lambda: what(company.world, **values))


def test_a_message_edited_to_stop_is_heard(company: Company):
    bot, _ = talking(company)
    company.run(company.start(), bot)
    company.online(bot)
    company.say(bot.telegram_user_id, "ok")
    company.until_heard(bot, 1)
    do(company, afterwards.edit, user_id=company.pavel.id, seq=1, text="STOP")
    until_suppressed(company.pavel)


def test_an_edit_to_stop_and_a_deletion_are_found_after_a_time_without_a_connection(company: Company):
    bot, talk = talking(company)
    runtime = company.start()
    [task] = company.run(runtime, bot)
    company.online(bot)
    company.say(bot.telegram_user_id, "ok", "a slip")
    company.until_heard(bot, 2)
    runtime.sessions[bot.pk].stop()
    task.join(60)
    do(company, afterwards.edit, user_id=company.pavel.id, seq=1, text="STOP")
    do(company, afterwards.unsay, seq=2)
    company.run(runtime, bot)
    until_suppressed(company.pavel)
    slip = Message.objects.filter(conversation=talk, text="a slip", deleted_at__isnull=False)
    wait_until(slip.exists, what="the deletion")
