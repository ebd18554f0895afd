"""Reads counts from the database and the broker while the demo runs and after it."""

from collections import Counter, defaultdict
from typing import Any

from django.db.models import Count, F, Q

from bots.models import Bot, Delivery
from coolthing_site.demo.comparison import LedgerMessage
from leads.models import Conversation, Lead, LlmJob
from messaging.broker import routing
from messaging.broker.management_api import ManagementApi
from messaging.models import DeadLetter, OutboxEvent, ProcessedEvent
from notifier.models import Notification
from notifier.selectors import collecting
from parser.models import Hit
from scripts.models import Assignment, Step


def lines_by_chat() -> dict[str, dict[str, int]]:
    """Chat title → number of planned and of sent lines."""
    rows = (
        Step.objects.values(title=F("play__chat__title"))
        .annotate(planned=Count("id"), said=Count("id", filter=Q(state=Step.State.SENT)))
        .order_by("title")
    )
    return {row["title"]: {"planned": row["planned"], "said": row["said"]} for row in rows}


def counts() -> dict[str, int]:
    """The numbers that the demo waits for or shows."""
    return {
        "plays_open": Assignment.objects.filter(state__in=[Assignment.State.ACTIVE, Assignment.State.PLAYING]).count(),
        "lines_sent": Step.objects.filter(state=Step.State.SENT).count(),
        "hits": Hit.objects.count(),
        "leads": Lead.objects.count(),
        "conversations": Conversation.objects.exclude(owner=Conversation.Owner.NONE).count(),
        "llm_due": LlmJob.objects.filter(state=LlmJob.State.DUE).count(),
        "deliveries_open": Delivery.objects.filter(state__in=[Delivery.State.QUEUED, Delivery.State.SENDING]).count(),
        "deliveries_sent": Delivery.objects.filter(state=Delivery.State.SENT).count(),
        "outbox_waiting": OutboxEvent.objects.filter(published_at__isnull=True, parked_at__isnull=True).count(),
        "events_open": events_open(),
        "notifications_open": Notification.objects.filter(state=Notification.State.QUEUED)
        .exclude(collecting())
        .count(),
        "dead_letters": DeadLetter.objects.count(),
    }


def bots_not_online(roles: list[str]) -> list[str]:
    """`key: state reason` of each enabled bot of these roles that is not online."""
    bots = Bot.objects.filter(role__in=roles, enabled=True).exclude(state=Bot.State.ONLINE)
    return [f"{bot.key}: {bot.state} {bot.state_reason}".strip() for bot in bots]


def _peer(delivery: Delivery) -> int | None:
    """The id to which the delivery was sent: the group may have become a supergroup since."""
    if delivery.chat is None or delivery.first_attempt_at is None:
        return delivery.peer_id
    return delivery.chat.telegram_id_at(delivery.first_attempt_at)


def our_ledger() -> list[LedgerMessage]:
    """Every delivery that is marked sent."""
    sent = Delivery.objects.filter(state=Delivery.State.SENT).select_related("bot", "chat", "reply_to")
    return [
        LedgerMessage(
            random_id=delivery.random_id,
            sender=delivery.bot.telegram_user_id or 0,
            peer=_peer(delivery) or 0,
            text=delivery.text,
            message_id=delivery.telegram_message_id or 0,
            reply_to=delivery.reply_to.random_id if delivery.reply_to else None,
        )
        for delivery in sent
    ]


def bus() -> dict[str, Any]:
    """The numbers of published, handled and dead-lettered events, and of those that each queue should have handled."""
    published = OutboxEvent.objects.filter(published_at__isnull=False).values_list("exchange", "routing_key")
    expected: dict[str, int] = defaultdict(int)
    for exchange, routing_key in published:
        for queue in routing.queues_for(exchange, routing_key):
            expected[queue] += 1
    handled = dict(ProcessedEvent.objects.values_list("subscription").annotate(n=Count("id")).order_by())
    dead = dict(DeadLetter.objects.values_list("queue").annotate(n=Count("id")).order_by())
    return {
        "published": len(published),
        "parked": OutboxEvent.objects.filter(parked_at__isnull=False).count(),
        "handled": sum(handled.values()),
        "dead_lettered": sum(dead.values()),
        "expected_by_queue": dict(expected),
        "handled_by_queue": handled,
        "dead_lettered_by_queue": dead,
    }


def events_open() -> int:
    """The number of events that are not handled yet, over all queues. The broker's own figures are seconds old."""
    figures = bus()
    done = Counter(figures["handled_by_queue"]) + Counter(figures["dead_lettered_by_queue"])
    return (Counter(figures["expected_by_queue"]) - done).total()


def queue_depths() -> dict[str, int]:
    """Messages (ready and unacked) in each queue of our virtual host, from the management API."""
    return {row["name"]: row.get("messages", 0) for row in ManagementApi.from_settings().in_vhost("queues")}


def lowest(before: dict[str, int], depths: dict[str, int]) -> dict[str, int]:
    """The lowest depth of each queue over several reads, of which `depths` is the latest.

    A message that stays in a queue is counted in every read. Messages that beat publishes every few seconds may be in a
    queue at any single read, but not at every read.
    """
    return {queue: min(depth, before.get(queue, depth)) for queue, depth in depths.items()}


def hit_to_lead_ms() -> list[float]:
    """The sorted milliseconds between the records of each hit and its lead.

    The time of the message itself is not used, because Telegram reports it in whole seconds only.
    """
    leads = dict(Lead.objects.values_list("event_id", "created_at"))
    hits = Hit.objects.filter(id__in=leads).values_list("id", "created_at")
    return sorted((leads[hit_id] - found).total_seconds() * 1000 for hit_id, found in hits)


def percentile(sorted_values: list[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the sorted values lie; 0 without values."""
    if not sorted_values:
        return 0.0
    return round(sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))], 1)
