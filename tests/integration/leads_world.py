"""A campaign that watches a chat and has managers, and functions that act as Telegram."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from django.utils import timezone

from bots.deliveries.claiming import claim
from bots.deliveries.queueing import delivery_finish
from bots.models import Bot, Delivery, Role
from bots.roles import RoleHandler, handler_of
from campaigns.models import Campaign, Chat, ChatPermission
from leads.models import CampaignManager, Conversation, Lead, Message
from leads.services.incoming import message_record
from leads.services.outgoing_messages import message_send
from messaging.broker import topology
from messaging.consuming.subscriptions import handle
from parser.models import Keyword, WatchedChat
from telegram.types import Author, IncomingMessage
from tests.integration import ledger
from tests.integration.script_world import logged_in

GRANTED = datetime(2026, 11, 1, 12, tzinfo=UTC)
FIRST = "{Hello|Hi}! I am an AI assistant of Tea House. Reply STOP and I will not write again."


def permit(chat: Chat, purpose: str) -> ChatPermission:
    return ChatPermission.objects.create(
        chat=chat, purpose=purpose, granted_by="the owner", granted_at=GRANTED, evidence="a letter"
    )


@dataclass
class World:
    campaign: Campaign
    chat: Chat
    parser: Bot
    managers: list[Bot]
    ids: Any = field(default_factory=lambda: count(1000))

    def event(self, **fields: Any) -> dict[str, Any]:
        """A NewTargetMessage as it stands on the wire."""
        event = {
            "id": str(uuid4()),
            "created_at": timezone.now().isoformat(),
            "worker_id": str(self.parser.id),
            "campaign_id": str(self.campaign.id),
            "chat_id": self.chat.telegram_id,
            "username": "Tea_Lover",
            "message": "Where do you buy tea?",
            "telegram_user_id": 501,
            "message_id": 77,
        }
        return {name: value for name, value in (event | fields).items() if value is not ...}

    def receive(self, **fields: Any) -> Any:
        """Through the queue's handler, as bytes. Returns the lead that the event made, or None."""
        event = self.event(**fields)
        handle_lead(event)
        return Lead.objects.filter(event_id__in=[event["id"]] if "id" in event else []).first()

    def conversation(self, **fields: Any) -> Conversation:
        """A conversation whose first message was sent."""
        lead = self.receive(**fields)
        assert self.send_all() == 1
        return Conversation.objects.get(lead=lead)

    def send_all(self) -> int:
        """Send all messages that the gate allows. Returns their number."""
        number = 0
        while outgoing := claim(ledger.owners(*self.managers)).outgoing:
            for each in outgoing:
                self.sent(Delivery.objects.get(id=each.id))
                number += 1
        return number

    def sent(self, delivery: Delivery, *, user_id: int = 501) -> int:
        message_id = next(self.ids)
        assert delivery_finish(
            delivery_id=delivery.id,
            was=Delivery.State.SENDING,
            state=Delivery.State.SENT,
            telegram_message_id=message_id,
            sent_at=timezone.now(),
            peer_id=delivery.peer_id or user_id,
        )
        return message_id

    def ai_sends(self, conversation: Conversation, text: str = "An answer", **facts: Any) -> Message:
        """As if the LLM had answered the present epoch."""
        conversation.refresh_from_db()
        return message_send(
            conversation=conversation, author=Message.Author.AI, text=text, due_at=timezone.now(), **facts
        )

    def claimed(self) -> Delivery:
        """One message on its way to Telegram."""
        [outgoing] = claim(ledger.owners(*self.managers)).outgoing
        return Delivery.objects.get(id=outgoing.id)

    def incoming(self, conversation: Conversation, text: str, **facts: Any) -> IncomingMessage:
        """The lead writes."""
        return self.arrives(conversation, text, **{"from_user_id": 501, "from_username": "tea_lover", **facts})

    def outgoing(self, conversation: Conversation, text: str, **facts: Any) -> IncomingMessage:
        """The account itself wrote: we, or a person with the phone."""
        return self.arrives(
            conversation, text, **{"outgoing": True, "from_user_id": conversation.bot.telegram_user_id, **facts}
        )

    def arrives(self, conversation: Conversation, text: str, **facts: Any) -> IncomingMessage:
        message = private_message(**{"message_id": next(self.ids), "text": text, **facts})
        message_record(bot_id=conversation.bot_id, message=message)
        conversation.refresh_from_db()
        return message


def private_message(**facts: Any) -> IncomingMessage:
    return IncomingMessage(
        **{
            "peer_id": 501,
            "from_user_id": 501,
            "from_username": "",
            "from_name": "Somebody",
            "sent_at": timezone.now() + timedelta(seconds=1),
            "outgoing": False,
            "reply_to_message_id": None,
            "private": True,
            "author": Author("person"),
            **facts,
        }
    )


def handle_lead(event: dict[str, Any]) -> None:
    body = json.dumps(event).encode()
    handle(topology.LEADS_QUEUE, topology.LEADS_EXCHANGE, f"lead.{event['campaign_id']}", body)


def make_world(*, managers: int = 2, direct: bool = True, **campaign: Any) -> World:
    facts = {
        "name": "Tea House",
        "first_contact_template": FIRST,
        "first_contact_interval_seconds": 0,
        # So long that nothing is sent to a worker: the tests are the workers.
        "reply_quiet_seconds": 60,
        "llm_brief": "Product: Tea House\nPrice: 5 euros",
        "llm_model": "sandbox-1",
    }
    made = ledger.make_campaign(**facts | campaign)
    chat = ledger.make_chat(permitted=False)
    permit(chat, "parse")
    if direct:
        permit(chat, "first_contact")
    parser = logged_in(ledger.make_bot(role=Role.PARSER))
    WatchedChat.objects.create(campaign=made, chat=chat, bot=parser)
    Keyword.objects.create(campaign=made, text="tea")
    bots = [logged_in(ledger.make_bot(role=Role.MANAGER)) for _ in range(managers)]
    for bot in bots:
        CampaignManager.objects.create(campaign=made, bot=bot)
    return World(made, chat, parser, bots)


def role_handler(role: str) -> RoleHandler:
    handler = handler_of(role)
    assert handler is not None
    return handler


def texts(conversation: Conversation, author: str | None = None) -> list[str]:
    messages = Message.objects.filter(conversation=conversation)
    return [message.text for message in (messages.filter(author=author) if author else messages)]


def queued(conversation: Conversation) -> list[Delivery]:
    return list(Delivery.objects.filter(message__conversation=conversation, state=Delivery.State.QUEUED))
