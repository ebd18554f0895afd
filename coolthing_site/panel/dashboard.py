"""The dashboard: the work under way, the messages that wait and why, and the problems that need an operator."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from django.db.models import Count, F, Min, Model, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from bots.accounts.incidents import chats_about, incidents_shown
from bots.models import Bot, Delivery, Incident
from campaigns.models import Chat
from coolthing_site.models import Process
from coolthing_site.panel.navigation import request_may_view
from coolthing_site.panel.processes import processes_amiss
from leads.models import Conversation, Lead
from messaging.models import DeadLetter, OutboxEvent, QueueControl
from notifier.models import Channel
from notifier.selectors import channels_failing, failure_text
from panelkit.labels import moment_with_zone, page_of, short_choice, waits
from panelkit.lists.bounded_counts import count_of
from panelkit.lists.related_counts import related_count
from parser.models import HitLook
from scripts.models import Assignment, Play, Step

# The most rows of a card. The card's title links to the complete list.
ROWS = 8
UNDER_WAY = (Assignment.State.ACTIVE, Assignment.State.PLAYING, Assignment.State.PAUSED)


@dataclass(frozen=True)
class Tile:
    title: str
    number: int
    url: str
    tone: str = ""


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK: the data of the index template that the user may view."""
    cards: dict[type[Model], tuple[str, Callable[[], Any]]] = {
        Assignment: ("assignments", assignments_under_way),
        Bot: ("bots", lambda: by_state(Bot, "state")),
        Lead: ("leads", lambda: by_state(Lead, "state")),
        Conversation: ("conversations", conversations_of_operators),
        Delivery: ("waiting", waiting),
        Incident: ("incidents", lambda: incidents(request)),
        Channel: ("channels", channels),
        Process: ("processes", processes_amiss),
        QueueControl: ("paused", lambda: list(QueueControl.objects.filter(paused=True).order_by("queue"))),
    }
    seen = {name: read() for model, (name, read) in cards.items() if request_may_view(request, model._meta.label)}
    return {**context, **seen, "tiles": tiles(request)}


def tiles(request: HttpRequest) -> list[Tile]:
    wanted: list[tuple[str, QuerySet[Any], str, str]] = [
        ("Assignments under way", Assignment.objects.filter(state__in=UNDER_WAY), "", ""),
        ("Leads to approve", _awaiting_approval(), "state__exact=awaiting_approval", "warn"),
        ("Hits to decide", _undecided(), "state__exact=waiting", "warn"),
        ("Conversations led by operators", Conversation.objects.filter(owner="human"), "owner__exact=human", "warn"),
        ("Messages waiting", _queued(), "state__exact=queued", ""),
        ("Open dead letters", DeadLetter.objects.filter(state="open"), "state__exact=open", "bad"),
        ("Events to publish", _unpublished(), "is=waiting", ""),
    ]
    return [
        Tile(title, number, _list_url(rows.model, query), tone if number else "")
        for title, rows, query, tone in wanted
        if request_may_view(request, rows.model._meta.label)
        for number in [count_of(rows)]
    ]


def incidents(request: HttpRequest) -> list[Any]:
    """What is wrong, the latest first; with the page of the chat that it is about."""
    latest = list(incidents_shown().order_by("-last_at")[:ROWS])
    chats = chats_about(latest) if request_may_view(request, Chat._meta.label) else {}
    pages = {key: page_of(chat) for key, chat in chats.items()}
    return [
        SimpleNamespace(reason=incident.reason, last_at=incident.last_at, chat_url=pages.get(incident.key))
        for incident in latest
    ]


def channels() -> list[Any]:
    """The channels that could not deliver notifications."""
    failing = channels_failing(most=ROWS)
    return [SimpleNamespace(name=each.name, url=page_of(each), problem=failure_text(each)) for each in failing]


def assignments_under_way() -> list[Any]:
    """The assignments under way, the newest first, with the numbers of their chats and lines."""
    steps = Step.objects.all()
    under_way = Assignment.objects.filter(state__in=UNDER_WAY).select_related("script", "campaign")
    under_way = under_way.defer("snapshot")
    return list(
        under_way.annotate(
            chats=related_count(Play.objects.all(), by="assignment"),
            planned=related_count(steps, by="play__assignment"),
            sent=related_count(steps.filter(state=Step.State.SENT), by="play__assignment"),
            not_sent=related_count(steps.filter(state=Step.State.NOT_SENT), by="play__assignment"),
        ).order_by("-activated_at")[:ROWS]
    )


def by_state(model: type[Model], field: str) -> list[dict[str, Any]]:
    """The number of rows in each state, up to a bound, with a link to them. The most frequent state comes first."""
    choices = model._meta.get_field(field).flatchoices  # type: ignore[union-attr]  # a choice field
    found = [
        {
            "value": value,
            "text": short_choice(label),
            "number": count_of(model._default_manager.filter(**{field: value})),
            "url": _list_url(model, f"{field}__exact={value}"),
        }
        for value, label in choices
    ]
    return sorted((row for row in found if row["number"]), key=lambda row: -row["number"])


def conversations_of_operators() -> list[Conversation]:
    found = Conversation.objects.filter(owner=Conversation.Owner.HUMAN).select_related("lead__campaign", "bot")
    return list(found.order_by(F("last_incoming_at").desc(nulls_last=True))[:ROWS])


def waiting() -> list[dict[str, Any]]:
    """The reasons for which messages wait, the most frequent first."""
    reasons = _queued().values("waiting_reason").annotate(n=Count("pk"), until=Min("waiting_until"), due=Min("due_at"))
    return [
        {
            "why": waits(row["waiting_reason"], row["until"])
            or f"Not due yet; the first is due at {moment_with_zone(row['due'])}",
            "number": row["n"],
        }
        for row in reasons.order_by("-n")[:ROWS]
    ]


def _queued() -> QuerySet[Delivery]:
    return Delivery.objects.filter(state=Delivery.State.QUEUED)


def _awaiting_approval() -> QuerySet[Lead]:
    return Lead.objects.filter(state=Lead.State.AWAITING_APPROVAL)


def _undecided() -> QuerySet[HitLook]:
    return HitLook.objects.filter(state=HitLook.State.WAITING)


def _unpublished() -> QuerySet[OutboxEvent]:
    return OutboxEvent.objects.filter(Q(published_at__isnull=True, parked_at__isnull=True))


def _list_url(model: type[Model], query: str) -> str:
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{url}?{query}" if query else url
