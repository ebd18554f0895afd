"""From a hit to a lead."""

from collections.abc import Sequence
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from campaigns.fences import erasing_hold
from campaigns.models import Campaign
from campaigns.selectors import is_erased, suppressed
from campaigns.suppressing import suppression_resolve
from leads.locks import campaign_hold, managers_hold, people_lock
from leads.models import Lead
from leads.selectors import Person, is_own_account, managers_usable
from leads.services.contact import lead_contact
from leads.services.people import lead_find
from parser.events import NewTargetMessage


class BadLead(ValueError):
    """The event cannot become a lead; the text says why."""


@transaction.atomic
def lead_receive(*, event: NewTargetMessage) -> Lead | None:
    """The campaign's lead for the person of the event, made and contacted when there was none.

    One lead for each campaign and person, however many events come and in whatever order. None for an account of the
    team's own, and for whoever had their data erased. Raises BadLead.
    """
    person = Person.of(event.telegram_user_id, event.username)
    if not person:
        raise BadLead("the event names nobody: it has neither a username nor a telegram_user_id")
    campaign = _campaign(event.campaign_id)
    erasing_hold()
    if is_own_account(person):
        return None
    campaign_hold(campaign.id)
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
        # The id of a lead known by name was learned from Telegram at this moment.
        return lead_find(campaign_id=campaign.id, person=person)
    lead_contact(lead=lead, now=timezone.now())
    return lead


@transaction.atomic
def leads_receive(*, events: Sequence[NewTargetMessage]) -> None:
    """As `lead_receive` for each event, all of them or none.

    What the events have to wait for is locked before the first of them, in the order of `leads.locks`: two batches
    with common campaigns or managers never wait for each other in a circle.
    """
    erasing_hold()
    campaigns = sorted(filter(None, {_uuid(event.campaign_id) for event in events}))
    for campaign_id in campaigns:
        campaign_hold(campaign_id)
    managers_hold({bot_id for campaign_id in campaigns for bot_id in _manager_ids(campaign_id)})
    people_lock(*_whose_name_is_suppressed(events))
    for event in events:
        lead_receive(event=event)


def _whose_name_is_suppressed(events: Sequence[NewTargetMessage]) -> list[Person]:
    """Those whose conversations end as soon as their event is received: the suppression becomes their id's."""
    met = [Person.of(event.telegram_user_id, event.username) for event in events if event.telegram_user_id is not None]
    by_name = suppressed(user_ids=(), usernames=[person.username for person in met])
    return [person for person in met if by_name.covers(None, person.username)]


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


def _create(event: NewTargetMessage, campaign: Campaign, person: Person) -> Lead:
    return Lead.objects.create(
        campaign=campaign,
        telegram_user_id=person.telegram_user_id,
        username=person.username,
        message=event.message,
        chat_id=event.chat_id,
        message_id=event.message_id,
        worker_id=event.worker_id[:64],
        event_id=event.id,
        hit_at=event.said_at or event.created_at,
    )
