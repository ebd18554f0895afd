"""A person wants silence: everything ends for them, in every campaign, at once."""

from uuid import UUID

from django.db import transaction
from django.db.models import F

from bots.deliveries import deliveries_cancel_for_person
from campaigns.models import Suppression
from campaigns.services import suppression_add
from leads.locks import person_lock
from leads.models import Conversation, Lead, LlmJob
from leads.selectors import Person, leads_of


@transaction.atomic
def opt_out(*, lead_id: UUID, source: Suppression.Source, reason: str = "") -> None:
    """When this returns nothing more is claimed for the person; `deliveries_leaving` says what is still on its way.

    Idempotent. The caller has locked all conversations of the person, or none.
    """
    lead = Lead.objects.get(id=lead_id)
    person = Person.of(lead.telegram_user_id, lead.username)
    person_lock(person)
    suppression_add(telegram_user_id=person.telegram_user_id, username=person.username, source=source, reason=reason)
    leads = leads_of(person)
    ended = "Opted out: " + Suppression.Source(source).label
    talks = Conversation.objects.filter(lead__in=leads).exclude(owner=Conversation.Owner.NONE)
    talks.update(owner=Conversation.Owner.NONE, owner_reason=ended, epoch=F("epoch") + 1)
    leads.exclude(state=Lead.State.OPTED_OUT).update(state=Lead.State.OPTED_OUT, state_reason=(reason or ended)[:300])
    LlmJob.objects.filter(conversation__lead__in=leads, state=LlmJob.State.DUE).update(state=LlmJob.State.STALE)
    deliveries_cancel_for_person(telegram_user_id=person.telegram_user_id, username=person.username, reason=ended)
