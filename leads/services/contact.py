"""The first contact with a lead: which manager writes, when, and whether an operator has to approve it."""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from bots.models import Bot
from campaigns.models import Purpose
from campaigns.suppressions.lookup import is_suppressed
from leads.cool_down import cool_downs_in_use, why_cooling_down
from leads.first_contact import first_contact_text, why_late
from leads.locks import campaign_lock, conversation_lock_if_there, first_contacts_lock, managers_lock
from leads.models import Conversation, Lead, Message
from leads.selectors import (
    PersonRef,
    can_reach,
    direct_contact_permitted,
    hit_place,
    manager_least_loaded,
    managers_advice,
    managers_usable,
)
from leads.services.outgoing_messages import message_send
from leads.services.ownership import lead_move, owner_move
from messaging.database.clock import database_clock
from messaging.database.errors import DATABASE_ERRORS
from messaging.events import ServiceErrorEvent
from messaging.publishing.outbox import publish_on_commit
from messaging.rounds import backoff, for_each
from panelkit.errors import NotPossible
from texts.spintax import SpintaxError

State = Lead.State
# The most unexpected errors in a row for a lead, and the longest wait between two attempts (seconds).
MOST_ATTEMPTS, MOST_SECONDS = 8, 600.0
NO_MANAGER = "The campaign has no manager account: add an account on the campaign's page."

log = logging.getLogger(__name__)


def lead_contact(*, lead: Lead, now: datetime) -> None:
    """Assign the lead to a manager and queue the first message, or record in the lead's state why this is not possible.

    The caller has locked the campaign and its managers (`leads.locks`). `leads_contact_due` tries again with leads
    that stay `new`.
    """
    person = PersonRef.of(lead.telegram_user_id, lead.username)
    if is_suppressed(telegram_user_id=person.telegram_user_id, username=person.username):
        lead_move(lead=lead, state=State.OPTED_OUT, reason="When this hit was found, the person had already opted out.")
        return
    if lead.approved_at is None and (reason := _needs_approval(lead, now)):
        lead_move(
            lead=lead, state=State.AWAITING_APPROVAL, reason=f"{reason}: an operator must approve the first contact."
        )
        return
    try:
        text = first_contact_text(campaign=lead.campaign, lead_id=lead.id)
    except SpintaxError as problem:
        _wait(lead, f"The campaign's first message cannot be rendered: {problem}.")
        return
    _contact_through_manager(lead, person, text, now)


def _needs_approval(lead: Lead, now: datetime) -> str:
    if not direct_contact_permitted(chat_id=lead.chat_id):
        return "The chat's permission does not cover first contacts"
    return why_late(lead, now) or why_cooling_down(lead, now)


def _contact_through_manager(lead: Lead, person: PersonRef, text: str, now: datetime) -> None:
    bot = manager_least_loaded(campaign_id=lead.campaign_id, person=person, chat_id=lead.chat_id)
    if bot is None:
        _wait(lead, managers_advice(campaign_id=lead.campaign_id) or NO_MANAGER)
        return
    if not can_reach(bot, person=person, chat_id=lead.chat_id):
        _wait(lead, _out_of_reach(lead))
        return
    conversation = _conversation(lead, bot)
    lead_move(lead=lead, state=State.CONTACTING)
    # Another program's clock may be ahead of ours.
    due_at = min(lead.hit_at, now) + timedelta(seconds=lead.campaign.first_contact_interval_seconds)
    message_send(
        conversation=conversation,
        author=Message.Author.AI,
        text=text,
        purpose=Purpose.FIRST_CONTACT,
        due_at=max(due_at, now),
    )


def _out_of_reach(lead: Lead) -> str:
    _, chat, _ = hit_place(lead=lead)
    return (
        "The person has no username, so only an account in a chat with them can write to them: add a manager account "
        f"of the campaign to the chat {chat}. CoolThing tries again every few seconds."
    )


def _conversation(lead: Lead, bot: Bot) -> Conversation:
    """A new conversation, or an existing one (locked) whose first message was not sent because it was late."""
    conversation = Conversation.objects.select_related("lead__campaign").filter(lead=lead).first()
    if conversation is None:
        return Conversation.objects.create(lead=lead, bot=bot, peer_id=lead.telegram_user_id)
    conversation.bot = bot
    conversation.save(update_fields=["bot"])
    reason = f"Approved by {lead.approved_by}." if lead.approved_by else ""
    owner_move(conversation=conversation, owner=Conversation.Owner.AI, reason=reason)
    return conversation


def _wait(lead: Lead, reason: str) -> None:
    if (lead.state, lead.state_reason) != (State.NEW, reason[:300]):
        lead_move(lead=lead, state=State.NEW, reason=reason)


@transaction.atomic
def lead_approve(*, lead_id: UUID, by: str, now: datetime | None = None) -> Lead:
    """Approve the first contact of a lead that the chat's permission does not cover. Repeating it is no error.

    Raises NotPossible if the lead does not await approval.
    """
    now = now or database_clock()
    lead = _lead_locked(lead_id)
    if lead.approved_at is None and lead.state == State.AWAITING_APPROVAL:
        lead.approved_at, lead.approved_by = now, by[:150]
        lead.save(update_fields=["approved_at", "approved_by"])
        lead_contact(lead=lead, now=now)
    elif lead.approved_at is None:
        raise NotPossible(f"This lead does not await approval: its state is “{lead.get_state_display()}”.")
    return lead


@transaction.atomic
def lead_reject(*, lead_id: UUID, by: str, reason: str = "") -> Lead:
    """Decide that this person is not written to in this campaign. Repeating it is no error.

    Raises NotPossible if the lead is neither new nor awaiting approval.
    """
    lead = _lead_locked(lead_id)
    if lead.state in (State.AWAITING_APPROVAL, State.NEW):
        lead_move(lead=lead, state=State.CLOSED, reason=f"Rejected by {by}. {reason}".strip())
    elif lead.state != State.CLOSED:
        raise NotPossible(f"This lead does not await approval: its state is “{lead.get_state_display()}”.")
    return lead


def leads_contact_due(*, now: datetime, limit: int = 50) -> int:
    """Try again with leads that found no manager or no usable text. Returns how many have left the state `new`.

    The leads whose last attempt is oldest come first, so all get their turn even if many cannot be contacted. After
    each unexpected error in a row a lead waits longer, and after MOST_ATTEMPTS an operator has to decide.
    """
    due = Lead.objects.filter(Q(retry_at=None) | Q(retry_at__lte=now), state=State.NEW)
    waiting = due.order_by(F("tried_at").asc(nulls_first=True), "created_at")
    ids = list(waiting.values_list("id", flat=True)[:limit])
    return sum(for_each(ids, lambda lead_id: _contact_again(lead_id, now), what="lead"))


def _contact_again(lead_id: UUID, now: datetime) -> bool:
    # Count the attempt first: a lead that breaks the round is then not the first of the next round.
    mine = Lead.objects.filter(id=lead_id, state=State.NEW)
    if not mine.update(tried_at=now, attempts=F("attempts") + 1):
        return False
    try:
        return _contact(lead_id, now)
    except Lead.DoesNotExist:
        # The lead was erased meanwhile.
        return False
    except DATABASE_ERRORS:
        raise
    except Exception as problem:
        log.exception("lead %s could not be contacted", lead_id)
        _postpone(lead_id, type(problem).__name__, now)
        return False


@transaction.atomic
def _contact(lead_id: UUID, now: datetime) -> bool:
    lead = _lead_locked(lead_id)
    if lead.state == State.NEW and lead.attempts > MOST_ATTEMPTS:
        _give_up(lead_id, "the last attempts ended without a result")
        return False
    if lead.state == State.NEW:
        lead_contact(lead=lead, now=now)
    Lead.objects.filter(id=lead_id).update(attempts=0, retry_at=None)
    return lead.state != State.NEW


def _postpone(lead_id: UUID, kind: str, now: datetime) -> None:
    """Record the failure and when to try again, and give up after MOST_ATTEMPTS.

    The first update is separate: if giving up fails too, the lead is still not tried again every two seconds.
    """
    new = Lead.objects.filter(id=lead_id, state=State.NEW)
    attempts = new.values_list("attempts", flat=True).first()
    if attempts is None:
        return
    reason = f"The lead could not be contacted (unexpected {kind}). CoolThing tries again."
    new.update(state_reason=reason, retry_at=now + backoff(attempts, first=2.0, most=MOST_SECONDS))
    if attempts >= MOST_ATTEMPTS:
        _give_up(lead_id, f"unexpected {kind}")


@transaction.atomic
def _give_up(lead_id: UUID, error: str) -> None:
    """Leave the decision to an operator, and notify the team once."""
    reason = f"{MOST_ATTEMPTS} attempts to contact the lead failed ({error}): approve it to try again, or reject it."
    facts = {"state": State.AWAITING_APPROVAL, "state_reason": reason, "approved_at": None, "approved_by": ""}
    if Lead.objects.filter(id=lead_id, state=State.NEW).update(**facts, attempts=0, retry_at=None):
        log.error("lead %s could not be contacted in %d attempts (%s)", lead_id, MOST_ATTEMPTS, error)
        campaign = Lead.objects.values_list("campaign__name", flat=True).get(id=lead_id)
        # Without the person's name: events are also stored in places that erasing the person does not reach.
        reason = (
            f"{MOST_ATTEMPTS} attempts to contact a lead of campaign “{campaign}” failed ({error}): find the lead "
            "among those that await approval, and approve it to try again, or reject it"
        )
        publish_on_commit(ServiceErrorEvent(service="manager", reason=reason))


def _lead_locked(lead_id: UUID) -> Lead:
    campaign_id = Lead.objects.values_list("campaign_id", flat=True).get(id=lead_id)
    campaign_lock(campaign_id)
    # The managers are locked before the lead's row is written.
    managers_lock(managers_usable(campaign_id=campaign_id).values_list("id", flat=True))
    if cool_downs_in_use():
        known = Lead.objects.values_list("telegram_user_id", "username").get(id=lead_id)
        first_contacts_lock([PersonRef.of(*known)])
    for begun in Conversation.objects.filter(lead_id=lead_id).values_list("id", flat=True):
        conversation_lock_if_there(begun)
    return Lead.objects.select_related("campaign").get(id=lead_id)
