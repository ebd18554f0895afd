"""From a lead to its first message: who writes, when, and who has to allow it."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F

from campaigns.models import Purpose
from campaigns.selectors import is_suppressed
from campaigns.services import NotPossible
from leads.first_contact import first_contact_text
from leads.locks import campaign_hold, managers_hold
from leads.models import Conversation, Lead, Message
from leads.selectors import Person, direct_contact_permitted, manager_least_loaded, managers_usable
from leads.services.ownership import lead_move
from leads.services.saying import message_say
from messaging.clock import database_clock
from messaging.locks import rows_lock
from messaging.rounds import for_each
from scripts.spintax import SpintaxError

State = Lead.State
# A person who wrote longer ago no longer expects an answer: after an outage nobody is written to out of the blue.
FRESH = timedelta(hours=24)


def lead_contact(*, lead: Lead, now: datetime) -> None:
    """Give the lead to a manager and queue the first message, or say in the lead's state why not.

    The campaign and its managers are held (`leads.locks`). A lead that stays `new` is tried again by
    `leads_contact_due`.
    """
    person = Person.of(lead.telegram_user_id, lead.username)
    if is_suppressed(telegram_user_id=person.telegram_user_id, username=person.username):
        lead_move(lead=lead, state=State.OPTED_OUT, reason="Asked not to be written to before this hit.")
        return
    if lead.approved_at is None and (reason := _needs_approval(lead, now)):
        lead_move(lead=lead, state=State.AWAITING_APPROVAL, reason=f"{reason}: an operator must approve this one.")
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
    if now - lead.hit_at > FRESH:
        hours = FRESH.total_seconds() / 3600
        return f"The message that made the hit is more than {hours:.0f} hours old ({lead.hit_at:%Y-%m-%d %H:%M} UTC)"
    return ""


def _contact_through_manager(lead: Lead, person: Person, text: str, now: datetime) -> None:
    bot = manager_least_loaded(campaign_id=lead.campaign_id, person=person)
    if bot is None:
        _wait(lead, "No manager bot of the campaign is usable.")
        return
    conversation = Conversation.objects.create(lead=lead, bot=bot, peer_id=lead.telegram_user_id)
    lead_move(lead=lead, state=State.CONTACTING)
    # Another program's clock may be ahead of ours.
    due_at = min(lead.hit_at, now) + timedelta(seconds=lead.campaign.first_contact_interval_seconds)
    message_say(
        conversation=conversation,
        author=Message.Author.AI,
        text=text,
        purpose=Purpose.FIRST_CONTACT,
        due_at=max(due_at, now),
    )


def _wait(lead: Lead, reason: str) -> None:
    if (lead.state, lead.state_reason) != (State.NEW, reason[:300]):
        lead_move(lead=lead, state=State.NEW, reason=reason)


@transaction.atomic
def lead_approve(*, lead_id: UUID, by: str, now: datetime | None = None) -> Lead:
    """An operator allows the first contact that the chat's permission does not cover. Doing it twice is no error."""
    now = now or database_clock()
    lead = _lead_held(lead_id)
    if lead.approved_at is None and lead.state == State.AWAITING_APPROVAL:
        lead.approved_at, lead.approved_by = now, by[:150]
        lead.save(update_fields=["approved_at", "approved_by"])
        lead_contact(lead=lead, now=now)
    elif lead.approved_at is None:
        raise NotPossible(f"This lead does not await approval: it is {lead.get_state_display().lower()}.")
    return lead


@transaction.atomic
def lead_reject(*, lead_id: UUID, by: str, reason: str = "") -> Lead:
    """An operator decides that this person is not written to in this campaign. Doing it twice is no error."""
    lead = _lead_held(lead_id)
    if lead.state in (State.AWAITING_APPROVAL, State.NEW):
        lead_move(lead=lead, state=State.CLOSED, reason=f"Rejected by {by}. {reason}".strip())
    elif lead.state != State.CLOSED:
        raise NotPossible(f"This lead does not await approval: it is {lead.get_state_display().lower()}.")
    return lead


def leads_contact_due(*, now: datetime, limit: int = 50) -> int:
    """Try again with leads that found no manager or no usable text; returns how many are on their way now.

    All get their turn, however many of them are stuck: those tried longest ago come first.
    """
    waiting = Lead.objects.filter(state=State.NEW).order_by(F("tried_at").asc(nulls_first=True), "created_at")
    ids = list(waiting.values_list("id", flat=True)[:limit])
    # Before trying: one that breaks the round is not the first of the next one.
    with transaction.atomic():
        Lead.objects.filter(id__in=rows_lock(Lead.objects.filter(id__in=ids))).update(tried_at=now)
    return sum(for_each(ids, lambda lead_id: _contact_again(lead_id, now), what="lead"))


def _contact_again(lead_id: UUID, now: datetime) -> bool:
    try:
        return _contact(lead_id, now)
    except Lead.DoesNotExist:
        # Erased meanwhile.
        return False
    except Exception as problem:
        reason = f"It could not be contacted (unforeseen {type(problem).__name__}) and is tried again."
        Lead.objects.filter(id=lead_id, state=State.NEW).update(state_reason=reason)
        raise


@transaction.atomic
def _contact(lead_id: UUID, now: datetime) -> bool:
    lead = _lead_held(lead_id)
    if lead.state == State.NEW:
        lead_contact(lead=lead, now=now)
    return lead.state != State.NEW


def _lead_held(lead_id: UUID) -> Lead:
    campaign_id = Lead.objects.values_list("campaign_id", flat=True).get(id=lead_id)
    campaign_hold(campaign_id)
    # Before the lead's row is written.
    managers_hold(managers_usable(campaign_id=campaign_id).values_list("id", flat=True))
    return Lead.objects.select_related("campaign").get(id=lead_id)
