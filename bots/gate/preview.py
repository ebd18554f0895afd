"""The gate preview: may this delivery be sent now? It claims, counts and locks nothing.

The answer holds for the moment at which it was given: a sender asks the gate again, under the locks that make it hold.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from bots.chats.entry_refusals import entry_incident
from bots.gate.budgets import BudgetBook
from bots.gate.facts import BotOwner, GateFacts, with_facts
from bots.gate.rules import ALLOW, Refuse, Verdict, Wait, objections
from bots.models import Bot, Delivery, Trouble
from campaigns.models import Purpose
from campaigns.suppressions.lookup import suppressed_bearer
from messaging.database.clock import database_clock

# In these states no worker says anything as the bot, though one may hold it.
_NOT_READY = (Bot.State.OFFLINE, Bot.State.STARTING)


@dataclass(frozen=True)
class GatePreview:
    """`objections` are all that speak against it now; the first of them is the verdict.

    `by_name`: the person is known by a name alone. A sender would first ask Telegram whose name that is, and judge by
    the id: somebody who asked not to be written to may bear it. Our records stand in for Telegram here: `bearer` is
    the id of such a person whom they show under the name.
    """

    verdict: Verdict
    objections: tuple[Refuse | Wait, ...]
    at: datetime
    by_name: bool
    bearer: int | None = None


def delivery_would(*, delivery_id: UUID) -> GatePreview:
    """What a sender would hear about this queued delivery. Raises Delivery.DoesNotExist when it is not queued."""
    return _answer(with_facts(Delivery.objects.filter(id=delivery_id, state=Delivery.State.QUEUED)).get())


def wish_would(*, wish: Delivery) -> GatePreview:
    """The same about an unsaved delivery, `wish_for`'s, that nobody has asked for."""
    return _answer(wish)


def wish_for(*, text: str, **facts: object) -> Delivery:
    """An unsaved delivery that belongs to no play and no conversation. Without `text` a first contact is judged by its
    campaign's own first message."""
    wish = Delivery(text=text, origin="", due_at=database_clock(), **facts)
    if not text and wish.purpose == Purpose.FIRST_CONTACT:
        wish.text = wish.campaign.first_contact_template
    return wish


def _answer(delivery: Delivery) -> GatePreview:
    book, now = BudgetBook([delivery], lock=False), database_clock()
    policy = GateFacts([delivery], _owners(delivery, now), now, book)
    by_name = delivery.chat_id is None and delivery.peer_id is None
    bearer = suppressed_bearer(delivery.peer_username) if by_name else None
    facts = policy.facts(delivery)
    against = objections(replace(facts, suppressed=facts.suppressed or bearer is not None))
    if not against and delivery.due_at > now:
        against = [Wait(delivery.due_at, "It is not due yet.")]
    return GatePreview(next(iter(against), ALLOW), tuple(against), now, by_name, bearer)


def _owners(delivery: Delivery, now: datetime) -> dict[UUID, BotOwner]:
    """The bot as the worker that drives it has it. Which chats the account is in only that worker knows for sure: here
    it is in every one that Telegram has shown us, unless entering it failed."""
    bot = delivery.bot
    held = bot.lease_expires_at is not None and bot.lease_expires_at > now and bot.state not in _NOT_READY
    return {bot.id: BotOwner(bot.lease_epoch, frozenset(_entered(delivery)))} if held else {}


def _entered(delivery: Delivery) -> Iterable[UUID]:
    chat = delivery.chat
    if chat is None or chat.telegram_id is None:
        return ()
    outside = Trouble.objects.filter(key=entry_incident(bot_id=delivery.bot_id, chat_id=chat.id)).exists()
    return () if outside else (chat.id,)
