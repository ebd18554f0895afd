"""The gate preview: whether a delivery may be sent now. It claims, counts and locks nothing.

The result is true at that moment only: before sending, the gate checks the delivery again under its locks.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from bots.chats.entry_refusals import entry_incident
from bots.gate.budgets import BudgetBook
from bots.gate.facts import BotOwner, GateFacts, with_facts
from bots.gate.rules import objections
from bots.gate.verdicts import ALLOW, Refuse, Verdict, Wait
from bots.models import Bot, Delivery, Incident
from campaigns.models import Purpose
from campaigns.suppressions.lookup import suppressed_id_of
from messaging.database.clock import database_clock

# In these states no worker sends with the bot, although a worker may own it.
_NOT_READY = (Bot.State.OFFLINE, Bot.State.STARTING)


@dataclass(frozen=True)
class GatePreview:
    """The gate's verdict at the time `at`. `objections` are all reasons against sending; the first is the verdict.

    `by_name`: only the person's username is known. A sender would first request the id from Telegram, because the
    person with that username may be suppressed. The preview reads CoolThing's records instead: `bearer` is the id of a
    suppressed person who has that username in these records.
    """

    verdict: Verdict
    objections: tuple[Refuse | Wait, ...]
    at: datetime
    by_name: bool
    bearer: int | None = None


def delivery_preview(*, delivery_id: UUID) -> GatePreview:
    """The preview of a queued delivery. Raises Delivery.DoesNotExist if it is not queued."""
    return _preview(with_facts(Delivery.objects.filter(id=delivery_id, state=Delivery.State.QUEUED)).get())


def draft_preview(*, draft: Delivery) -> GatePreview:
    """The preview of an unsaved delivery that `draft_for` has made."""
    return _preview(draft)


def draft_for(*, text: str, **facts: object) -> Delivery:
    """Make an unsaved delivery without an origin, for a preview.

    Without `text`, a first contact gets its campaign's template of the first message.
    """
    draft = Delivery(text=text, origin="", due_at=database_clock(), **facts)
    if not text and draft.purpose == Purpose.FIRST_CONTACT:
        draft.text = draft.campaign.first_contact_template
    return draft


def _preview(delivery: Delivery) -> GatePreview:
    book, now = BudgetBook([delivery], lock=False), database_clock()
    policy = GateFacts([delivery], _owners(delivery, now), now, book)
    by_name = delivery.chat_id is None and delivery.peer_id is None
    bearer = suppressed_id_of(delivery.peer_username) if by_name else None
    facts = policy.facts(delivery)
    against = objections(replace(facts, suppressed=facts.suppressed or bearer is not None))
    if not against and delivery.due_at > now:
        against = [Wait(delivery.due_at, "The message is not due yet.")]
    return GatePreview(next(iter(against), ALLOW), tuple(against), now, by_name, bearer)


def _owners(delivery: Delivery, now: datetime) -> dict[UUID, BotOwner]:
    """The bot's owner, as its worker would pass it to the gate; empty without one.

    Only the worker knows for sure which chats the account is in. The preview assumes every chat with a known id, unless
    an incident says that the bot could not join it.
    """
    bot = delivery.bot
    leased = bot.lease_expires_at is not None and bot.lease_expires_at > now and bot.state not in _NOT_READY
    return {bot.id: BotOwner(bot.lease_epoch, frozenset(_entered(delivery)))} if leased else {}


def _entered(delivery: Delivery) -> Iterable[UUID]:
    chat = delivery.chat
    if chat is None or chat.telegram_id is None:
        return ()
    outside = Incident.objects.filter(key=entry_incident(bot_id=delivery.bot_id, chat_id=chat.id)).exists()
    return () if outside else (chat.id,)
