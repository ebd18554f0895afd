"""The contents of a conversation's page, and what has changed since an open page's last request.

An open page sends a request every few seconds. The request contains the versions (digests) of the messages on the page,
and the response contains those of the newest messages that differ: new, edited and deleted ones, and those whose
delivery has changed. The server stores nothing between two requests, and the cost of a request does not grow with the
conversation.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.template.loader import render_to_string

from bots.models import Delivery
from leads.models import Conversation, Lead, LlmJob, Message
from leads.peer_refusals import refusal_text
from panelkit.labels import waits

# Messages on a page at first, and the number that "earlier" adds.
SHOWN = 50
# An open page keeps so many of the newest messages up to date; their digests fit into a URL.
KEPT_UP_TO_DATE = 200
# Without JavaScript, "earlier" reloads the page with more messages, up to so many.
MOST_SHOWN = 500

State = Delivery.State
_ON_ITS_WAY = (State.QUEUED.label, State.SENDING.label)
Owner = Conversation.Owner


@dataclass(frozen=True)
class Shown:
    """A message as the template needs it.

    `delivery_state` describes the state of its delivery; it is empty if the message was sent, at `sent_at`. `settled`
    means that the state is final.
    """

    id: UUID
    author: str
    by: str
    at: datetime
    text: str
    first_text: str
    edited_at: datetime | None
    deleted: bool
    delivery_state: str
    sent_at: datetime | None
    settled: bool
    delivery_id: UUID | None

    @property
    def version(self) -> str:
        return _digest(self)


def shown(message: Message) -> Shown:
    """Build the message for the page. Edits and deletions of our messages are stored with the delivery."""
    ours = message.delivery
    edited = ours.edited_text if ours is not None and ours.edited_at is not None else ""
    return Shown(
        id=message.pk,
        author=message.author,
        by=message.get_author_display(),
        at=message.at,
        text=edited or message.text,
        first_text=message.text if edited else message.original_text,
        edited_at=message.edited_at or (ours.edited_at if ours is not None else None),
        deleted=bool(message.deleted_at or (ours is not None and ours.deleted_at)),
        delivery_state=_delivery_state(ours) if ours is not None else "",
        sent_at=ours.sent_at if ours is not None and ours.state == State.SENT else None,
        settled=ours is None or ours.state not in (State.QUEUED, State.SENDING),
        delivery_id=message.delivery_id,
    )


def newest(conversation: Conversation, *, most: int, skip: int = 0) -> list[Shown]:
    """The `most` newest messages in order of time, without the `skip` newest ones."""
    rows = conversation.messages.select_related("delivery").reverse()[skip : skip + most]
    return [shown(message) for message in rows][::-1]


def news(conversation: Conversation, *, known: Collection[str]) -> dict[str, Any]:
    """The changes for an open page that has messages of the versions `known`.

    Returns the ids of the newest messages in order, those messages that the page lacks, and the versions that are
    `gone` (edited or deleted). `more` means that there are earlier messages.
    """
    there = newest(conversation, most=min(max(len(known), SHOWN), KEPT_UP_TO_DATE))
    changed = [message for message in there if message.version not in known]
    gone, more = set(known).difference(message.version for message in there), False
    if gone:
        # New messages may only have moved them out of the newest ones, by fewer places than the page has messages.
        before = newest(conversation, most=len(known), skip=len(there))
        gone, more = gone.difference(message.version for message in before), bool(before)
    return {
        "order": [str(message.id) for message in there] if changed else [],
        "changed": {str(message.id): message_html(message) for message in changed},
        "gone": sorted(gone),
        "more": more,
    }


def message_html(message: Shown) -> str:
    return render_to_string("leads/message.html", {"message": message})


@dataclass(frozen=True)
class Answering:
    """The form below the messages: whether an answer is possible, the button, and an explanation of what it does."""

    possible: bool
    button: str = ""
    takes_over: bool = False
    explanation: str = ""


WITH_AI = (
    "The AI answers in this conversation. If you send a message, you take the conversation over: the AI's queued "
    "messages are cancelled, and the AI sends nothing until you hand the conversation back."
)
ENDED = "This conversation has ended. If you send a message, you take the conversation over, and it continues."
OPTED_OUT = "This person asked not to be written to. You cannot send a message."


def answering(conversation: Conversation) -> Answering:
    if conversation.lead.state == Lead.State.OPTED_OUT:
        return Answering(possible=False, explanation=OPTED_OUT)
    if conversation.owner == Owner.HUMAN:
        return Answering(possible=True, button="Send")
    explanation = WITH_AI if conversation.owner == Owner.AI else ENDED
    return Answering(possible=True, button="Send and take over", takes_over=True, explanation=explanation)


WHO_ANSWERS = {
    Owner.AI.value: "The AI answers",
    Owner.HUMAN.value: "An operator answers",
    Owner.NONE.value: "Nobody answers: the conversation has ended",
}


def parts(conversation: Conversation, *, offers: list[Any], leaving: Any) -> dict[str, Any]:
    """The parts of the page around the messages. `version` changes whenever any part does."""
    jobs = list(conversation.llm_jobs.filter(state=LlmJob.State.DUE).order_by("due_at").values("due_at", "error"))
    lead = conversation.lead
    facts = {
        "owner": conversation.owner,
        "who_answers": WHO_ANSWERS[conversation.owner],
        "owner_reason": conversation.owner_reason,
        "last_incoming_at": conversation.last_incoming_at,
        "lead_state": lead.state,
        "lead_state_label": lead.get_state_display(),
        "lead_reason": lead.state_reason,
        "leaving": leaving,
        "jobs": jobs,
        "answering": answering(conversation),
        "last": _last_of_operator(conversation),
    }
    version = _digest((facts, [(offer.operation.name, offer.url) for offer in offers]))
    return {**facts, "offers": offers, "version": version}


def parts_html(facts: dict[str, Any], request: HttpRequest) -> dict[str, str]:
    """The HTML of the parts, by the id of the element that contains it."""
    names = ("head", "jobs", "send")
    return {
        f"conversation-{name}": render_to_string(f"leads/conversation_{name}.html", {"parts": facts}, request=request)
        for name in names
    }


def _last_of_operator(conversation: Conversation) -> dict[str, str] | None:
    """Why the last operator's message has not arrived, with its delivery.

    None if it has arrived, is on its way, or if another of our messages follows it.
    """
    latest = conversation.messages.select_related("delivery").reverse()[:SHOWN]
    ours = next((message for message in latest if message.author != Message.Author.LEAD), None)
    if ours is None or ours.author != Message.Author.OPERATOR or ours.delivery is None:
        return None
    delivery_state = _delivery_state(ours.delivery)
    return (
        {"delivery_state": delivery_state, "delivery": str(ours.delivery_id)}
        if delivery_state not in ("", *_ON_ITS_WAY)
        else None
    )


def _delivery_state(delivery: Delivery) -> str:
    if delivery.state == State.SENT:
        return ""
    why = waits(delivery.waiting_reason, delivery.waiting_until) if delivery.state == State.QUEUED else ""
    return ": ".join(filter(None, [delivery.get_state_display(), why or refusal_text(delivery.error)]))


def _digest(facts: object) -> str:
    return hashlib.blake2b(repr(facts).encode(), digest_size=4).hexdigest()
