"""Locks of this room, kept until the transaction ends. Their order: "The order of locks" in docs/architecture.md.

Whoever needs one conversation locks all conversations and leads of its person, in one step: cancelling a message, or a
suppression, may end every one of them.
"""

from collections.abc import Iterable, Iterator
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from campaigns.identifiers import plain_username
from campaigns.suppressions import registry
from leads.models import Conversation, Lead
from leads.selectors import PersonRef, leads_of
from panelkit.errors import NotPossible

# First keys of advisory locks with two keys: those with one key are other locks.
_CAMPAIGN = 0x1EAD_0001
_MANAGER = 0x1EAD_0002


def campaign_lock(campaign_id: UUID) -> None:
    """Nobody else makes or merges leads of this campaign."""
    _lock(_CAMPAIGN, campaign_id)


def managers_lock(bot_ids: Iterable[UUID]) -> None:
    """Nobody else gives a conversation to one of these bots."""
    for bot_id in sorted(bot_ids):
        _lock(_MANAGER, bot_id)


class ConversationGone(NotPossible):
    """Its person's data was erased."""

    def __init__(self) -> None:
        super().__init__("This conversation was erased.")


def conversation_lock(conversation_id: UUID, *also: PersonRef) -> Conversation:
    """Lock the conversation, all others of its person, and those of the people in `also`. Raises ConversationGone."""
    conversation = conversation_lock_if_there(conversation_id, *also)
    if conversation is None:
        raise ConversationGone
    return conversation


def conversation_lock_if_there(conversation_id: UUID, *also: PersonRef) -> Conversation | None:
    """As `conversation_lock`; None when it was erased."""
    lead = Lead.objects.filter(conversation__id=conversation_id).first()
    if lead is None:
        return None
    locked = people_lock(PersonRef.of(lead.telegram_user_id, lead.username), *also)
    return next((conversation for conversation in locked if conversation.id == conversation_id), None)


def people_lock(*people: PersonRef) -> list[Conversation]:
    """All leads of these people in every campaign, and whatever else their suppression would end, with their
    conversations, which are returned."""
    return leads_lock(leads_of(*people, *_bearers(people)))


def leads_lock(leads: QuerySet[Lead]) -> list[Conversation]:
    """Lock these leads and, before them, the conversations with them, each in the order of their ids; against each
    other, and against senders who hold conversations FOR SHARE. Returns the conversations, with their leads."""
    ids = list(leads.values_list("id", flat=True))
    if not ids:
        return []
    # NO KEY: messages and jobs of the conversation, which refer to it, are not kept from being written. Each table by a
    # statement of its own: of a joined row that it waited for, PostgreSQL would return an old version.
    talks = list(Conversation.objects.filter(lead__in=ids).order_by("id").select_for_update(no_key=True))
    locked = Lead.objects.filter(id__in=ids).order_by("id").select_for_update(no_key=True, of=("self",))
    by_id = {lead.id: lead for lead in locked.select_related("campaign")}
    for talk in talks:
        talk.lead = by_id[talk.lead_id]
    return talks


def conversation_again(conversation: Conversation) -> Conversation:
    """A locked one, as it is now: this transaction has changed its row or its lead's."""
    return Conversation.objects.select_related("lead__campaign").get(id=conversation.id)


def _bearers(people: Iterable[PersonRef]) -> Iterator[PersonRef]:
    """Who is suppressed when one of these people is and nothing but the name is known."""
    for person in people:
        name = plain_username(person.username)
        if person.telegram_user_id is None and name and (bearer := registry.bearer_of(name)) is not None:
            yield PersonRef(bearer, person.username)


def _lock(kind: int, key: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [kind, str(key)])
