"""A person with rows in every table that can contain personal data, and another person whose rows must stay."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.utils import timezone

from bots.models import BotBlock, Cursor, Delivery, DeliveryEvent, Incident, MassCancellation
from campaigns.erasing import person_erase, person_named
from campaigns.models import Budget, Suppression
from leads.models import Conversation, Lead, LlmJob, UnclaimedMessage
from leads.services.operators import conversation_take_over, operator_send
from messaging.models import (
    DeadLetter,
    DeadLetterEntry,
    HandlingFailure,
    OutboxEvent,
    ProcessedEvent,
    ReplayBatch,
)
from notifier.models import Channel, Notification
from panelkit.rights import Shell
from parser.models import Backtest, BacktestMatch, GoldenText, Hit, HitLook, HitRepeat, SecondLook, Verdict
from parser.services import message_match
from tests.integration.leads_world import World, private_message

ID, NAME = 501777333, "Quiet_Maria"
WORDS = "My violet elephant drinks tea in Lisbon"
ANSWER = "Violet elephants are welcome, Maria"
OTHER_ID, OTHER_NAME = 601777333, "loud_anton"


@dataclass
class Place:
    """A table and what was found in it."""

    table: str
    found: str


def erase() -> None:
    person_erase(person_named(str(ID)), by=Shell())


def fill(world: World) -> Conversation:
    """The person everywhere; their conversation."""
    event = _receive_hit(world, ID, NAME, WORDS)
    _receive_hit(world, OTHER_ID, OTHER_NAME, "Where is tea sold?")
    conversation = Conversation.objects.get(lead__telegram_user_id=ID)
    world.send_all()
    world.incoming(conversation, WORDS, peer_id=ID, from_user_id=ID, from_username=NAME)
    conversation_take_over(conversation_id=conversation.id, by="olga")
    operator_send(conversation_id=conversation.id, text=ANSWER)
    world.send_all()
    UnclaimedMessage.objects.create(
        conversation=conversation, telegram_message_id=9, text=WORDS, said_at=timezone.now()
    )
    LlmJob.objects.filter(conversation=conversation).update(reason=f"They said: {WORDS}"[:300], state="done")
    _second_look(world)
    _ledgers(world, conversation)
    _bus(event)
    _panel(conversation)
    return conversation


def _receive_hit(world: World, user_id: int, username: str, text: str) -> dict[str, Any]:
    [hit] = message_match(
        bot_id=world.parser.id,
        message=private_message(
            message_id=next(world.ids),
            text=text,
            peer_id=world.chat.telegram_id,
            private=False,
            from_user_id=user_id,
            from_username=username,
        ),
    )
    event = world.event(
        id=str(hit.event_id), telegram_user_id=user_id, username=username, message=text, message_id=hit.message_id
    )
    world.receive(**event)
    return event


def _second_look(world: World) -> None:
    hit = Hit.objects.get(telegram_user_id=ID)
    HitLook.objects.create(hit=hit, campaign=world.campaign, state="waiting", reason=f"They said: {WORDS}")
    SecondLook.objects.create(campaign=world.campaign, blocked_senders=[str(ID), f"@{NAME.lower()}", "@loud_anton"])


def _ledgers(world: World, conversation: Conversation) -> None:
    Cursor.objects.create(bot=conversation.bot, peer_id=ID, last_message_id=3)
    BotBlock.objects.create(
        bot=conversation.bot, method="SendMessage", peer_id=ID, until=timezone.now(), reason="WAIT_3"
    )
    Incident.objects.create(key=f"message:{conversation.bot_id}:{ID}:7", reason=f"message 7 of chat {ID} was skipped")
    hit = Hit.objects.get(telegram_user_id=ID)
    Verdict.objects.create(hit=hit, value="good", by="olga")
    HitRepeat.objects.create(hit=hit, chat=world.chat, peer_id=hit.peer_id, message_id=7777, said_at=timezone.now())
    backtest = Backtest.objects.create(campaign=world.campaign, days=1, by="olga")
    BacktestMatch.objects.create(
        backtest=backtest,
        chat=hit.chat,
        message_id=1,
        telegram_user_id=ID,
        text=WORDS,
        gained=True,
        said_at=timezone.now(),
    )
    GoldenText.objects.create(campaign=world.campaign, text=hit.text, wanted=True, telegram_user_id=ID)
    Budget.objects.create(scope="peer", key=str(ID), limit=3, window_seconds=60)
    sent = Delivery.objects.filter(peer_id=ID, state="sent").latest("created_at")
    Delivery.objects.filter(id=sent.id).update(edited_text=f"{ANSWER}!", edited_at=timezone.now(), reactions="👍 1")
    now = timezone.now()
    DeliveryEvent.objects.create(delivery=sent, kind="edited", detail=f"{ANSWER}!", at=now, last_at=now)
    MassCancellation.objects.create(
        by="olga", what=f'all deliveries with q "{NAME}"', delivery_ids=[], total=0, state="done"
    )
    Suppression.objects.create(telegram_user_id=ID, username=NAME, source="words", reason=WORDS)
    Suppression.objects.create(telegram_user_id=OTHER_ID, username=OTHER_NAME, source="words", reason="stop")


def _bus(event: dict[str, Any]) -> None:
    mine = json.dumps(event)
    foreign = json.dumps({"user_id": ID, "text": WORDS})
    OutboxEvent.objects.filter(event_id=event["id"]).update(published_at=timezone.now())
    OutboxEvent.objects.create(
        event_id=uuid4(), service="x", exchange="leads_exchange", routing_key="lead.x", body=foreign
    )
    other = json.dumps({"user_id": OTHER_ID, "message_id": ID, "text": "Something else"})
    ProcessedEvent.objects.get_or_create(event_id=event["id"], subscription="leads_queue")
    for number, body in enumerate((mine, foreign, f"not JSON about @{NAME}", other)):
        letter = DeadLetter.objects.create(
            event_id=event["id"] if body is mine else uuid4(),
            queue="leads_queue",
            body=body,
            edited_body=body if number == 1 else "",
            body_digest=f"{number:064}",
            headers={"x-from": f"@{NAME}"} if number == 1 else {},
            reason="rejected",
            error=f"ValueError: {WORDS}" if body is mine else "",
        )
        DeadLetterEntry.objects.create(letter=letter, what="edited", note=body)
        HandlingFailure.objects.create(queue="leads_queue", body_digest=letter.body_digest, error=body, traceback=body)
    HandlingFailure.objects.create(queue="bots.on_message", body_digest="f" * 64, error=f"b:{ID}:7: ValueError: no")
    ReplayBatch.objects.create(by="olga", what=f'all letters with text "{NAME}"', per_second=1)
    channel = Channel.objects.create(name="Team", kind="file", address="/dev/null")
    for body in (mine, other):
        fields = json.loads(body)
        Notification.objects.create(channel=channel, event_id=uuid4(), routing_key="a.b", title="A hit", body=fields)


def _panel(conversation: Conversation) -> None:
    user = User.objects.create_superuser("olga")
    for row, text in ((conversation.lead, "Approve."), (conversation, f"Write: {WORDS}")):
        LogEntry.objects.create(
            user=user,
            content_type=ContentType.objects.get_for_model(row),
            object_id=str(row.pk),
            object_repr=str(row),
            action_flag=CHANGE,
            change_message=text,
        )


def search(*words: str) -> list[Place]:
    """Where any of the words is, in any row of any table."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        tables = [row[0] for row in cursor.fetchall()]
        found = []
        for table in tables:
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            for (text,) in cursor.fetchall():
                found += [Place(table, word) for word in words if word.lower() in text.lower()]
    return found


# The tables that `fill` puts the person into.
TABLES = {
    "bots_botblock",
    "bots_cursor",
    "bots_delivery",
    "bots_deliveryevent",
    "bots_masscancellation",
    "bots_trouble",
    "campaigns_budget",
    "campaigns_suppression",
    "django_admin_log",
    Lead._meta.db_table,
    Conversation._meta.db_table,
    "leads_llmjob",
    "leads_message",
    "leads_unclaimedmessage",
    "messaging_deadletter",
    "messaging_deadletterentry",
    "messaging_handlingfailure",
    "messaging_outboxevent",
    "messaging_replaybatch",
    "notifier_notification",
    Hit._meta.db_table,
    "parser_backtestmatch",
    "parser_goldentext",
    "parser_hitlook",
    "parser_secondlook",
}


def counted() -> list[Any]:
    """What the budgets are counted by."""
    columns = ("id", "bot_id", "campaign_id", "chat_id", "purpose", "state", "counted_at", "sent_at", "random_id")
    return list(Delivery.objects.order_by("id").values_list(*columns))
