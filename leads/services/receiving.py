"""Creates leads from hits."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from bots.selectors import is_own_account
from campaigns.models import Campaign
from campaigns.policy.locks import erasures_lock_shared
from campaigns.suppressions.lookup import is_erased
from campaigns.suppressions.recording import suppression_resolve
from leads.cool_down import cool_downs_in_use
from leads.locks import campaign_lock, first_contacts_lock, leads_lock, managers_lock
from leads.models import Lead
from leads.selectors import PersonRef, leads_met, managers_usable
from leads.services.contact import lead_contact
from leads.services.identity import lead_find
from messaging.database.clock import database_clock
from parser.events import NewTargetMessage


class BadLead(ValueError):
    """The event cannot become a lead. The message is the reason."""


@transaction.atomic
def lead_receive(*, event: NewTargetMessage) -> Lead | None:
    """The campaign's lead for the person of the event. If there was none, it is created and contacted.

    There is one lead for each campaign and person, whatever the number and order of events. Returns None for the team's
    own accounts, and for a person whose data was erased. Raises BadLead.
    """
    _lock_for([event])
    return _receive(event, database_clock())


def _receive(event: NewTargetMessage, now: datetime) -> Lead | None:
    person = PersonRef.of(event.telegram_user_id, event.username)
    campaign = _campaign(event.campaign_id)
    if is_own_account(telegram_user_id=person.telegram_user_id, username=person.username):
        return None
    if person.telegram_user_id is not None:
        suppression_resolve(telegram_user_id=person.telegram_user_id, username=person.username, by="a hit")
    if is_erased(telegram_user_id=person.telegram_user_id, username=person.username):
        return None
    known = lead_find(campaign_id=campaign.id, person=person)
    if known is not None:
        return known
    try:
        with transaction.atomic():
            lead = _create(event, campaign, person)
    except IntegrityError:
        # The id of a lead known only by username was learned from Telegram at this moment.
        return lead_find(campaign_id=campaign.id, person=person)
    lead_contact(lead=lead, now=now)
    return lead


@transaction.atomic
def leads_receive(*, events: Sequence[NewTargetMessage]) -> None:
    """Call `lead_receive` for each event, in one transaction."""
    _lock_for(events)
    now = database_clock()
    for event in events:
        _receive(event, now)


def _lock_for(events: Sequence[NewTargetMessage]) -> None:
    """Take all locks that the events may need, before the first event is handled.

    This prevents deadlocks between batches with the same campaigns, managers or people.
    """
    erasures_lock_shared()
    campaigns = sorted(filter(None, {_uuid(event.campaign_id) for event in events}))
    for campaign_id in campaigns:
        campaign_lock(campaign_id)
    managers_lock({bot_id for campaign_id in campaigns for bot_id in _manager_ids(campaign_id)})
    people = [PersonRef.of(event.telegram_user_id, event.username) for event in events]
    if cool_downs_in_use():
        first_contacts_lock(people)
    leads_lock(leads_met(people))


def _manager_ids(campaign_id: UUID) -> list[UUID]:
    return list(managers_usable(campaign_id=campaign_id).values_list("id", flat=True))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _campaign(campaign_id: str) -> Campaign:
    try:
        return Campaign.objects.get(id=UUID(campaign_id))
    except (ValueError, Campaign.DoesNotExist):
        raise BadLead(f"there is no campaign {campaign_id!r}") from None


def _create(event: NewTargetMessage, campaign: Campaign, person: PersonRef) -> Lead:
    return Lead.objects.create(
        campaign=campaign,
        telegram_user_id=person.telegram_user_id,
        username=person.username,
        message=event.message,
        chat_id=event.chat_id,
        message_id=event.message_id,
        worker_id=event.worker_id,
        event_id=event.id,
        hit_at=event.said_at or event.created_at,
    )
