"""Ends all conversations of a person who opts out, in every campaign at once."""

from collections.abc import Collection, Iterator
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Lower

from bots.deliveries.queueing import deliveries_cancel_for_person, people_waited_for
from campaigns.identifiers import plain_username
from campaigns.models import Suppression
from campaigns.suppressions.recording import suppression_add
from campaigns.suppressions.registry import Seen, SuppressedPerson
from leads.locks import people_lock
from leads.models import Conversation, Lead, LlmJob
from leads.selectors import PersonRef, leads_of


@transaction.atomic
def opt_out(*, lead_id: UUID, source: Suppression.Source, reason: str = "") -> None:
    """Suppress the person. A second call changes nothing.

    Afterwards no delivery to the person is claimed any more; `deliveries_leaving` counts those still being sent. The
    caller has locked all conversations of the person, or none.
    """
    lead = Lead.objects.get(id=lead_id)
    suppression_add(telegram_user_id=lead.telegram_user_id, username=lead.username, source=source, reason=reason)


def lock_conversations(suppressed: SuppressedPerson) -> None:
    people_lock(_person(suppressed))


def end_conversations(suppressed: SuppressedPerson) -> None:
    """End the person's conversations. Called after every suppression, however it was entered."""
    person = _person(suppressed)
    leads = leads_of(person)
    ended = "Opted out: " + suppressed.source.label
    conversations = Conversation.objects.filter(lead__in=leads).exclude(owner=Conversation.Owner.NONE)
    conversations.update(owner=Conversation.Owner.NONE, owner_reason=ended, epoch=F("epoch") + 1)
    silent = {"state": Lead.State.OPTED_OUT, "state_reason": (suppressed.reason or ended)[:300]}
    leads.exclude(state=Lead.State.OPTED_OUT).update(**silent)
    LlmJob.objects.filter(conversation__lead__in=leads, state=LlmJob.State.DUE).update(state=LlmJob.State.STALE)
    deliveries_cancel_for_person(telegram_user_id=person.telegram_user_id, username=person.username, reason=ended)


def _person(suppressed: SuppressedPerson) -> PersonRef:
    return PersonRef.of(suppressed.telegram_user_id, suppressed.username)


def people_concerned(user_ids: Collection[int], usernames: Collection[str]) -> tuple[set[int], set[str]]:
    """Implements `campaigns.suppressions.registry.Concerned`."""
    leads = Lead.objects.filter(telegram_user_id__in=user_ids).values_list("telegram_user_id", flat=True)
    # Leads without an id only: for the others the caller looks up the owners of the usernames itself.
    unknown = Lead.objects.filter(username__lower__in=usernames, username__gt="", telegram_user_id=None)
    ids, names = people_waited_for(user_ids, usernames)
    ids |= {user_id for user_id in leads if user_id is not None}
    return ids, names | {plain_username(name) for name in unknown.values_list("username", flat=True)}


def people_last_seen(usernames: Collection[str]) -> Iterator[Seen]:
    """The lead last found with each of these usernames (without @, in lower case)."""
    known = Lead.objects.annotate(name=Lower("username")).filter(telegram_user_id__isnull=False)
    known = known.filter(username__lower__in=usernames, username__gt="")
    for lead in known.order_by("name", "-created_at").distinct("name"):
        yield Seen(lead.name, lead.telegram_user_id or 0, lead.hit_at)
