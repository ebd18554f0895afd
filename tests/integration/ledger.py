"""Where the tests of deliveries play: a campaign, chats, bots that this process owns, an origin that keeps notes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from bots.deliveries.queueing import delivery_queue
from bots.gate.facts import BotOwner
from bots.gate.origins import register_origin
from bots.gate.verdicts import ALLOW, Verdict
from bots.models import Bot, Delivery, Role
from campaigns.models import Campaign, Chat, ChatPermission, Purpose

ORIGIN = "tests.note"
# Past for the real clock as well, on which the sender runs.
START = datetime(2024, 11, 4, 12, 0, tzinfo=UTC)
DISCLOSED = "Hi! I am an AI assistant of Green Gardens. Reply STOP and I will not write again."


@dataclass
class NotingOrigin:
    """Allows every message without a verdict in `answers`, and records what was settled."""

    answers: dict[UUID, Verdict] = field(default_factory=dict)
    settled: list[tuple[UUID, str]] = field(default_factory=list)
    failing: bool = False

    def lock_fences(self, origin_ids: Collection[UUID]) -> None:
        pass

    def verdicts(self, deliveries: Sequence[Delivery], *, now: datetime) -> dict[UUID, Verdict]:
        return {delivery.id: self.answers.get(delivery.origin_id, ALLOW) for delivery in deliveries}

    def settle(self, delivery: Delivery, *, now: datetime) -> None:
        if self.failing:
            raise RuntimeError("the origin fails")
        self.settled.append((delivery.id, delivery.state))


def noting_origin() -> NotingOrigin:
    origin = NotingOrigin()
    register_origin(ORIGIN, origin)
    return origin


class Clock:
    """Stands until it is moved."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


def make_campaign(**facts: Any) -> Campaign:
    slug = f"campaign-{uuid4().hex[:8]}"
    return Campaign.objects.create(**{"slug": slug, "name": slug, "state": Campaign.State.RUNNING, **facts})


def make_chat(*, permitted: bool = True, kind: str = Chat.Kind.SUPERGROUP, **facts: Any) -> Chat:
    key = f"chat-{uuid4().hex[:8]}"
    number = -1_000_000_000_000 - uuid4().int % 10**9
    chat = Chat.objects.create(
        **{
            "key": key,
            "reference": f"@{key}",
            "telegram_id": number,
            "kind": kind,
            "title": key,
            "label": "Partly scripted: see the pinned message.",
            **facts,
        }
    )
    if permitted:
        ChatPermission.objects.create(
            chat=chat, purpose=ChatPermission.Grant.SCRIPT, granted_by="owner", granted_at=START, evidence="a letter"
        )
    return chat


def make_bot(**facts: Any) -> Bot:
    """A bot that is online and owned with epoch 1 for as long as any test runs."""
    key = f"bot-{uuid4().hex[:8]}"
    return Bot.objects.create(
        **{
            "key": key,
            "role": Role.ACTOR,
            "phone": "+10000000000",
            "telegram_user_id": uuid4().int % 10**9,
            "state": Bot.State.ONLINE,
            "lease_owner": "tests",
            "lease_epoch": 1,
            "lease_expires_at": datetime(2100, 1, 1, tzinfo=UTC),
            **facts,
        }
    )


def owners(*bots: Bot, chats: Collection[Chat] = ()) -> dict[UUID, BotOwner]:
    """The bots as this process holds them, members of `chats`."""
    return {bot.id: BotOwner(bot.lease_epoch, frozenset(chat.id for chat in chats)) for bot in bots}


def queue_line(bot: Bot, campaign: Campaign, chat: Chat, text: str = "A line", **facts: Any) -> Delivery:
    return _queue(bot, campaign, {"purpose": Purpose.SCRIPT, "chat_id": chat.id, "text": text, **facts})


def queue_message(bot: Bot, campaign: Campaign, peer_id: int | None, text: str = "An answer", **facts: Any) -> Delivery:
    return _queue(bot, campaign, {"purpose": Purpose.REPLY, "peer_id": peer_id, "text": text, **facts})


def _queue(bot: Bot, campaign: Campaign, facts: dict[str, Any]) -> Delivery:
    always = {"bot_id": bot.id, "campaign_id": campaign.id, "origin": ORIGIN, "origin_id": uuid4(), "due_at": START}
    return delivery_queue(**{**always, **facts})
