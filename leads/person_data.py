"""Exports and erases a person's data in this room: leads in all campaigns, conversations, messages and LLM jobs."""

from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from campaigns.identifiers import named
from leads.locks import campaign_lock, leads_lock
from leads.models import MESSAGES_IN_ORDER, Conversation, Lead, LlmJob, Message, UnclaimedMessage
from privacy.person import Person
from privacy.registry import Counts, PersonalData, Rows, as_dicts


class LeadsPersonalData(PersonalData):
    name = "leads"
    models = ("leads.Lead", "leads.Conversation", "leads.Message", "leads.UnclaimedMessage", "leads.LlmJob")

    def ids_met_as(self, username: str) -> set[int]:
        known = Lead.objects.filter(named(username))
        return {user_id for user_id in known.values_list("telegram_user_id", flat=True) if user_id is not None}

    def usernames_of(self, telegram_user_id: int) -> set[str]:
        known = Lead.objects.filter(telegram_user_id=telegram_user_id).exclude(username="")
        return set(known.values_list(Lower("username"), flat=True))

    def event_ids(self, person: Person) -> set[UUID]:
        return set(_leads(person).values_list("event_id", flat=True))

    def texts(self, person: Person) -> set[str]:
        written = Message.objects.filter(conversation__in=_conversations(person), author=Message.Author.LEAD)
        before = written.exclude(original_text="").values_list("original_text", flat=True)
        return {
            *_leads(person).values_list("message", flat=True),
            *written.values_list("text", flat=True),
            *before,
        }

    def export(self, person: Person) -> Rows:
        conversations = _conversations(person)
        return {
            "leads": as_dicts(_leads(person)),
            "conversations": as_dicts(conversations),
            "messages": as_dicts(
                Message.objects.filter(conversation__in=conversations).order_by("conversation_id", *MESSAGES_IN_ORDER)
            ),
            "unclaimed_messages": as_dicts(UnclaimedMessage.objects.filter(conversation__in=conversations)),
            "llm_calls": as_dicts(LlmJob.objects.filter(conversation__in=conversations)),
        }

    @transaction.atomic
    def erase(self, person: Person) -> Counts:
        """Erase the rows. Transactions that have already locked a conversation finish first; later ones find no row."""
        for campaign_id in sorted(set(_leads(person).values_list("campaign_id", flat=True))):
            campaign_lock(campaign_id)
        leads = list(_leads(person).values_list("pk", flat=True))
        conversations = leads_lock(Lead.objects.filter(pk__in=leads))
        return {
            "messages": Message.objects.filter(conversation__in=conversations).delete()[0],
            "unclaimed_messages": UnclaimedMessage.objects.filter(conversation__in=conversations).delete()[0],
            "llm_calls": LlmJob.objects.filter(conversation__in=conversations).delete()[0],
            "conversations": Conversation.objects.filter(lead__in=leads).delete()[0],
            "leads": Lead.objects.filter(pk__in=leads).delete()[0],
        }


def _leads(person: Person) -> QuerySet[Lead]:
    """The leads with the person's id, the leads whose conversation is with that id, and the leads without an id that
    have one of the person's usernames."""
    conversations = Conversation.objects.filter(peer_id__in=person.ids)
    who = Q(telegram_user_id__in=person.ids) | Q(pk__in=conversations.values("lead_id"))
    for name in person.usernames:
        who |= named(name) & Q(telegram_user_id=None)
    return Lead.objects.filter(who)


def _conversations(person: Person) -> QuerySet[Conversation]:
    return Conversation.objects.filter(lead__in=_leads(person))
