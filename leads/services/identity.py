"""The identity of a lead. A hit may contain the id, the username or both; the missing one is learned later."""

from uuid import UUID

from django.db import IntegrityError, transaction

from campaigns.identifiers import named
from leads.locks import people_lock
from leads.models import Conversation, Lead
from leads.selectors import PersonRef, leads_of
from leads.services.ownership import lead_move, owner_move

# If two leads turn out to be one person, the lead whose state comes first in this order continues.
_PROGRESS = (
    Lead.State.OPTED_OUT,
    Lead.State.TALKING,
    Lead.State.CLOSED,
    Lead.State.CONTACTING,
    Lead.State.FAILED,
    Lead.State.AWAITING_APPROVAL,
    Lead.State.NEW,
)
_ENDED = (Lead.State.CLOSED, Lead.State.OPTED_OUT, Lead.State.FAILED)


def lead_find(*, campaign_id: UUID, person: PersonRef) -> Lead | None:
    """The campaign's lead for this person, updated with the person's id and username; None if there is none.

    The caller has locked the campaign and the leads with the person's id or username.
    """
    leads = Lead.objects.select_related("campaign").filter(campaign_id=campaign_id)
    by_id = leads.filter(telegram_user_id=person.telegram_user_id).first() if person.telegram_user_id else None
    by_name = leads.filter(named(person.username)).first() if person.username else None
    if by_name is not None and by_id is None:
        return _named(by_name, person)
    if by_id is not None and by_name is None and person.username:
        _set(by_id, username=person.username)
    if by_id is not None and by_name is not None and by_id.id != by_name.id:
        return _merge(by_id, by_name, person)
    return by_id


def person_learn(*, conversation: Conversation, telegram_user_id: int) -> None:
    """Record the Telegram id of the person in this conversation, as Telegram has reported it."""
    if conversation.peer_id is None:
        conversation.peer_id = telegram_user_id
        Conversation.objects.filter(id=conversation.id).update(peer_id=telegram_user_id)
    lead = conversation.lead
    if lead.telegram_user_id is None:
        # Not stored if the campaign has another lead with this id; the person's next hit merges them.
        _set(lead, telegram_user_id=telegram_user_id)


def leads_learn(*, person: PersonRef) -> None:
    """Record the person's id in leads that are known only by the person's present username."""
    nameless = leads_of(person).filter(telegram_user_id=None)
    if person.telegram_user_id is None or not nameless.exists():
        return
    people_lock(person)
    for lead in nameless.order_by("id"):
        _named(lead, person)


def _named(lead: Lead, person: PersonRef) -> Lead | None:
    """Update a lead that was found only by the username. Returns None if the username belongs to another person now."""
    if lead.telegram_user_id is None and person.telegram_user_id is not None:
        _set(lead, telegram_user_id=person.telegram_user_id)
        Conversation.objects.filter(lead=lead, peer_id=None).update(peer_id=person.telegram_user_id)
        return lead
    if person.telegram_user_id is not None:
        # The username has a new owner.
        _set(lead, username="")
        return None
    return lead


def _merge(by_id: Lead, by_name: Lead, person: PersonRef) -> Lead:
    if by_name.telegram_user_id is not None:
        _set(by_name, username="")
        _set(by_id, username=person.username)
        return by_id
    for lead, other in ((by_id, by_name), (by_name, by_id)):
        if lead.same_as_id == other.id:
            return other
    stays, goes = sorted((by_id, by_name), key=lambda lead: _PROGRESS.index(Lead.State(lead.state)))
    _end(goes, stays)
    return stays


def _end(goes: Lead, stays: Lead) -> None:
    _set(goes, same_as=stays)
    reason = "This is the same person as another lead of this campaign: see “Same as” on the lead's page."
    for conversation in Conversation.objects.filter(lead=goes).select_related("lead"):
        if conversation.owner != Conversation.Owner.NONE:
            owner_move(conversation=conversation, owner=Conversation.Owner.NONE, reason=reason)
    if goes.state not in _ENDED:
        lead_move(lead=goes, state=Lead.State.CLOSED, reason=reason)


def _set(lead: Lead, **facts: object) -> None:
    try:
        with transaction.atomic():
            Lead.objects.filter(id=lead.id).update(**facts)
    except IntegrityError:
        return
    for name, value in facts.items():
        setattr(lead, name, value)
