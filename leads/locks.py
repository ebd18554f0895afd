"""What serialises decisions about people that have no row yet. Held until the transaction ends.

Order, everywhere: campaign, managers, conversations by id, suppressions, leads, deliveries. It fits that of whoever
claims deliveries (bots.policy): conversations, suppressions, deliveries. Who may need several conversations of a
person locks all of them at once.
"""

from collections.abc import Iterable
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from campaigns.errors import NotPossible
from leads.models import Conversation
from leads.selectors import Person, leads_of

# First keys of advisory locks with two keys: those with one key are other locks.
_CAMPAIGN = 0x1EAD_0001
_MANAGER = 0x1EAD_0002


def campaign_hold(campaign_id: UUID) -> None:
    """Nobody else makes or merges leads of this campaign."""
    _hold(_CAMPAIGN, campaign_id)


def managers_hold(bot_ids: Iterable[UUID]) -> None:
    """Nobody else gives a conversation to one of these bots."""
    for bot_id in sorted(bot_ids):
        _hold(_MANAGER, bot_id)


def conversations_lock(conversations: QuerySet[Conversation]) -> list[Conversation]:
    """Lock the rows in a fixed order, against each other and against senders who hold them FOR SHARE."""
    # NO KEY: messages and jobs of the conversation, which refer to it, are not kept from being written.
    return list(conversations.order_by("id").select_for_update(no_key=True, of=("self",)).select_related("lead"))


class ConversationGone(NotPossible):
    """Its person's data was erased."""

    def __init__(self) -> None:
        super().__init__("This conversation was erased.")


def conversation_lock(conversation_id: UUID) -> Conversation:
    """Raises ConversationGone."""
    conversation = conversation_lock_if_there(conversation_id)
    if conversation is None:
        raise ConversationGone
    return conversation


def conversation_lock_if_there(conversation_id: UUID) -> Conversation | None:
    """None when it was erased."""
    return next(iter(conversations_lock(Conversation.objects.filter(id=conversation_id))), None)


def people_lock(*people: Person) -> list[Conversation]:
    """All conversations with these people, in every campaign."""
    return conversations_lock(Conversation.objects.filter(lead__in=leads_of(*people)))


def _hold(kind: int, key: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [kind, str(key)])
