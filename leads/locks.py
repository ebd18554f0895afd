"""The locks of this room, which last until the transaction ends. For their order see docs/architecture.md.

A transaction that needs one conversation locks all conversations and leads of its person at once, because cancelling a
message, or a suppression, may end all of them.
"""

from collections.abc import Iterable, Iterator
from uuid import UUID
from zlib import crc32

from django.db import connection
from django.db.models import QuerySet

from campaigns.identifiers import plain_username
from campaigns.suppressions import registry
from leads.models import Conversation, Lead
from leads.selectors import PersonRef, leads_of
from panelkit.errors import NotPossible

# The first keys of advisory locks with two keys, which are independent of those with one key.
_CAMPAIGN = 0x1EAD_0001
_MANAGER = 0x1EAD_0002
_PERSON = 0x1EAD_0003
_LOCK_PEOPLE = "SELECT pg_advisory_xact_lock(%s, person) FROM unnest(%s::int[]) AS person"


def campaign_lock(campaign_id: UUID) -> None:
    """Keep other transactions from creating or merging leads of this campaign."""
    _lock(_CAMPAIGN, campaign_id)


def managers_lock(bot_ids: Iterable[UUID]) -> None:
    """Keep other transactions from assigning conversations to these bots."""
    for bot_id in sorted(bot_ids):
        _lock(_MANAGER, bot_id)


def first_contacts_lock(people: Iterable[PersonRef]) -> None:
    """Keep other transactions from deciding about first contacts with these people, in any campaign."""
    names = {name for person in people for name in _names(person)}
    keys = sorted({crc32(name.encode()) - 2**31 for name in names})
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_PEOPLE, [_PERSON, keys])


def _names(person: PersonRef) -> Iterator[str]:
    if person.telegram_user_id is not None:
        yield str(person.telegram_user_id)
    if person.username:
        yield f"@{plain_username(person.username)}"


class ConversationGone(NotPossible):
    """The conversation was deleted because the person's data was erased."""

    def __init__(self) -> None:
        super().__init__("This conversation was erased.")


def conversation_lock(conversation_id: UUID, *also: PersonRef) -> Conversation:
    """Lock the conversation, all others of its person, and those of the people in `also`. Raises ConversationGone."""
    conversation = conversation_lock_if_there(conversation_id, *also)
    if conversation is None:
        raise ConversationGone
    return conversation


def conversation_lock_if_there(conversation_id: UUID, *also: PersonRef) -> Conversation | None:
    """Like `conversation_lock`, but returns None if the conversation was erased."""
    lead = Lead.objects.filter(conversation__id=conversation_id).first()
    if lead is None:
        return None
    locked = people_lock(PersonRef.of(lead.telegram_user_id, lead.username), *also)
    return next((conversation for conversation in locked if conversation.id == conversation_id), None)


def people_lock(*people: PersonRef) -> list[Conversation]:
    """Lock all leads of these people in all campaigns, the leads that their suppression would end, and conversations.

    Returns the conversations with these leads.
    """
    return leads_lock(leads_of(*people, *_bearers(people)))


def leads_lock(leads: QuerySet[Lead]) -> list[Conversation]:
    """Lock the conversations with these leads, then the leads, each in the order of their ids.

    The locks exclude each other and those of senders, who lock conversations FOR SHARE. Returns the conversations with
    their leads.
    """
    ids = list(leads.values_list("id", flat=True))
    if not ids:
        return []
    # NO KEY, so that messages and jobs that refer to the conversation can still be written. One statement per table:
    # for a joined row whose lock it had to wait for, PostgreSQL would return an old version.
    conversations = list(Conversation.objects.filter(lead__in=ids).order_by("id").select_for_update(no_key=True))
    locked = Lead.objects.filter(id__in=ids).order_by("id").select_for_update(no_key=True, of=("self",))
    by_id = {lead.id: lead for lead in locked.select_related("campaign")}
    for conversation in conversations:
        conversation.lead = by_id[conversation.lead_id]
    return conversations


def conversation_again(conversation: Conversation) -> Conversation:
    """Read a locked conversation again after this transaction has changed its row or its lead's."""
    return Conversation.objects.select_related("lead__campaign").get(id=conversation.id)


def _bearers(people: Iterable[PersonRef]) -> Iterator[PersonRef]:
    """The people who are suppressed along with those of whom only the username is known: its owners on record."""
    for person in people:
        name = plain_username(person.username)
        if person.telegram_user_id is None and name and (last_id := registry.last_id_of(name)) is not None:
            yield PersonRef(last_id, person.username)


def _lock(kind: int, key: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [kind, str(key)])
