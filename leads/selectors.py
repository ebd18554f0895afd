"""Queries for leads, their managers and their conversations."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Case, Count, Exists, F, IntegerField, Max, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Now

from bots.accounts.suitability import accounts_advice, bot_advice, bots_suitable
from bots.models import Bot, Cursor, Delivery, Presence, Role
from campaigns.identifiers import named, plain_username
from campaigns.models import Campaign, Chat, ChatPermission
from campaigns.permissions.validity import NONE_ON_RECORD, Gap, permission_gaps, permissions_given, permissions_in_force
from campaigns.selectors import at_telegram, chats_at
from leads.models import MESSAGES_IN_ORDER, Conversation, Lead, Message
from parser.models import WatchedChat
from parser.selectors import hit_change, hit_of
from telegram.types import is_supergroup

# A bot in one of these states gets no new leads.
UNUSABLE = (Bot.State.BANNED, Bot.State.NEEDS_LOGIN, Bot.State.STOPPED, Bot.State.RESTRICTED)


@dataclass(frozen=True)
class PersonRef:
    """A person on Telegram, known by the id, the username (without @), or both."""

    telegram_user_id: int | None
    username: str = ""

    @classmethod
    def of(cls, telegram_user_id: int | None, username: str) -> "PersonRef":
        return cls(telegram_user_id, username.strip().removeprefix("@"))

    def __bool__(self) -> bool:
        return self.telegram_user_id is not None or bool(self.username)


def leads_of(*people: PersonRef) -> QuerySet[Lead]:
    """The leads of these people, in all campaigns.

    For a person with a known id these are the leads with that id, and the leads with the person's username and no id.
    A lead with the username and another id is another person, who had the username before or has it now.
    """
    who = Q(pk__in=[])
    for person in people:
        if person.telegram_user_id is not None:
            who |= Q(telegram_user_id=person.telegram_user_id)
        if person.username:
            by_name = named(person.username)
            who |= by_name if person.telegram_user_id is None else by_name & Q(telegram_user_id=None)
    return Lead.objects.filter(who)


def leads_met(people: Collection[PersonRef]) -> QuerySet[Lead]:
    """The leads with one of these people's ids or usernames, in all campaigns.

    Unlike `leads_of`, it includes other people who had one of the usernames.
    """
    ids = {person.telegram_user_id for person in people if person.telegram_user_id is not None}
    names = {plain_username(person.username) for person in people} - {""}
    return Lead.objects.filter(Q(telegram_user_id__in=ids) | Q(username__lower__in=names))


def direct_contact_permitted(*, chat_id: int) -> bool:
    """Whether the chat's owner permits first contacts to its members without an operator's approval.

    `chat_id` is the marked id.
    """
    given = permissions_in_force(purpose=ChatPermission.Grant.FIRST_CONTACT, now=Now())
    return given.filter(at_telegram([chat_id], path="chat__")).exists()


def direct_contact_gaps(telegram_ids: set[int], *, now: datetime) -> dict[int, Gap]:
    """The chats whose owners do not permit first contacts at `now`, by marked id, with the reason."""
    known = chats_at(telegram_ids)
    gaps = permission_gaps(chat_ids=known.values(), purpose=ChatPermission.Grant.FIRST_CONTACT, now=now)
    found = {
        telegram_id: gaps.get(known[telegram_id]) if telegram_id in known else NONE_ON_RECORD
        for telegram_id in telegram_ids
    }
    return {telegram_id: gap for telegram_id, gap in found.items() if gap is not None}


def managers_choosable() -> QuerySet[Bot]:
    """The accounts that may get new leads, in any campaign."""
    return bots_suitable(role=Role.MANAGER, barred=UNUSABLE, logged_in=True)


def manager_advice(bot: Bot) -> str:
    """Why this account gets no new leads and what the operator should do; empty if it can get leads."""
    return bot_advice(bot, role=Role.MANAGER, barred=UNUSABLE, logged_in=True)


def managers_usable(*, campaign_id: UUID) -> QuerySet[Bot]:
    return managers_choosable().filter(manages__campaign_id=campaign_id)


def managers_advice(*, campaign_id: UUID) -> str:
    """Why no manager of the campaign can get new leads and what the operator should do.

    The text is empty if at least one manager can get leads, or if the campaign has no managers.
    """
    advice = accounts_advice(Bot.objects.filter(manages__campaign_id=campaign_id), manager_advice)
    return f"No manager account of the campaign can take new leads. {advice}" if advice else ""


def manager_least_loaded(*, campaign_id: UUID, person: PersonRef, chat_id: int) -> Bot | None:
    """The usable manager with the fewest open conversations; None if no manager is usable.

    For a person without a username, accounts that `can_reach` the person through the chat (a marked id) come first. A
    bot that already has a conversation with the person is chosen only if there is no other. Telegram has only one
    direct chat between a bot and a person, so the messages of two conversations could not be distinguished.
    """
    strangers = Count("conversations", filter=Q(conversations__lead__in=leads_of(person)))
    load = Count("conversations", filter=~Q(conversations__owner=Conversation.Owner.NONE))
    managers = managers_usable(campaign_id=campaign_id).annotate(known=strangers, load=load)
    outside = Value(0) if person.username else Case(When(_meets(person, chat_id), then=Value(0)), default=Value(1))
    return managers.annotate(outside=outside).order_by("outside", "known", "load", "key").first()


def can_reach(bot: Bot, *, person: PersonRef, chat_id: int) -> bool:
    """Whether this account can address the person: by username, through the chat that both are in, or as before."""
    return bool(person.username) or Bot.objects.filter(_meets(person, chat_id), pk=bot.pk).exists()


def _meets(person: PersonRef, chat_id: int) -> Q:
    """The accounts that are in the chat, or have a conversation with the person."""
    there = Presence.objects.filter(at_telegram([chat_id], path="chat__"), bot_id=OuterRef("pk"))
    begun = Conversation.objects.filter(peer_id=person.telegram_user_id, bot_id=OuterRef("pk"))
    return Q(Exists(there)) | Q(Exists(begun))


def conversation_with(*, bot_id: UUID, telegram_user_id: int, username: str = "") -> Conversation | None:
    """The conversation of this bot's direct chat with the person; None if there is none.

    If there are several, open conversations take precedence, then the conversation in which the bot has written last.
    The lead is loaded too; an erasure may delete it a moment later.
    """
    leads = dict(leads_of(PersonRef.of(telegram_user_id, username)).values_list("id", "telegram_user_id"))
    by_id = [lead_id for lead_id, known in leads.items() if known is not None]
    who = Q(peer_id=telegram_user_id) | Q(lead__in=by_id) | Q(lead__in=leads.keys() - by_id, peer_id=None)
    found = Conversation.objects.filter(who, bot_id=bot_id).select_related("lead")
    candidates = list(found)
    if len(candidates) < 2:
        return next(iter(candidates), None)
    ended = Case(When(owner=Conversation.Owner.NONE, then=Value(1)), default=Value(0), output_field=IntegerField())
    spoken = found.annotate(ended=ended, spoken=Max("messages__delivery__sent_at"))
    return spoken.order_by("ended", F("spoken").desc(nulls_last=True), "-created_at").first()


# The LLM gets at most this many of the newest messages: 60 albums of ten messages each.
MOST_FOR_LLM = 600


def messages_in_chat(*, conversation_id: UUID, most: int = MOST_FOR_LLM) -> list[Message]:
    """The newest messages of both sides that were sent and are not deleted, oldest first.

    An answer follows the message that it answers, even if other messages were sent in between.
    """
    sent = Q(author__in=(Message.Author.LEAD, Message.Author.PHONE)) | Q(delivery__state=Delivery.State.SENT)
    messages = Message.objects.filter(
        sent, conversation_id=conversation_id, deleted_at=None, delivery__deleted_at=None
    ).select_related("delivery")
    return list(messages.order_by("epoch", *MESSAGES_IN_ORDER).reverse()[:most])[::-1]


@dataclass(frozen=True)
class Beginning:
    """The message that was the lead's hit.

    `text` is its latest known text, None if it was deleted. `since` describes its edit or deletion, if there was one.
    """

    text: str | None
    since: str = ""


def beginning(*, lead: Lead) -> Beginning:
    hit = hit_of(event_id=lead.event_id)
    if hit is None:
        return Beginning(lead.message)
    text = hit.edited_text if hit.edited_at is not None else lead.message
    return Beginning(text if hit.deleted_at is None else None, hit_change(hit))


def hit_place(*, lead: Lead) -> tuple[Chat | None, str, str]:
    """The chat of the message that was the lead's hit, the chat's name, and a link to the message.

    If the chat is not on record, it is None and its marked id is the name. The link is empty for a basic group, whose
    messages have no links, and if the message's id is not known. Only members of the chat can open it.
    """
    chat = Chat.objects.filter(Q(telegram_id=lead.chat_id) | Q(upgraded_from_id=lead.chat_id)).first()
    link = ""
    if is_supergroup(lead.chat_id) and lead.message_id is not None:
        link = f"https://t.me/c/{-lead.chat_id - 1_000_000_000_000}/{lead.message_id}"
    return chat, str(chat) if chat is not None else str(lead.chat_id), link


def messages_without_delivery(*, bot_id: UUID) -> QuerySet[Message]:
    """The messages in this bot's conversations that leads have written, or team members have written from the phone."""
    return Message.objects.filter(conversation__bot_id=bot_id, delivery=None, telegram_message_id__isnull=False)


def received_since(*, bot_id: UUID, since: datetime, most: int) -> list[int]:
    """The Telegram ids of the newest `messages_without_delivery` after `since` that are not deleted, at most `most`."""
    there = messages_without_delivery(bot_id=bot_id).filter(at__gt=since, deleted_at=None).order_by("-at")
    return [number for number in there.values_list("telegram_message_id", flat=True)[:most] if number is not None]


def leads_unrecorded(*, bot_id: UUID, since: datetime, most: int) -> list[int]:
    """The Telegram ids of leads who wrote to this bot after `since` although it has no conversation with them.

    Returns the latest `most` of them.
    """
    theirs = Conversation.objects.filter(bot_id=bot_id, peer_id=OuterRef("peer_id"))
    leads = Lead.objects.filter(telegram_user_id=OuterRef("peer_id"))
    moved = Cursor.objects.filter(bot_id=bot_id, peer_id__gt=0, updated_at__gt=since)
    found = moved.filter(Exists(leads), ~Exists(theirs)).order_by("-updated_at")
    return list(found.values_list("peer_id", flat=True)[:most])


def bots_wanted() -> set[UUID]:
    """The ids of managers of running or paused campaigns, and of all manager bots that have ever had a conversation.

    Leads may answer long after a campaign has finished, and a "stop" must be recorded then too.
    """
    alive = Q(manages__campaign__state__in=(Campaign.State.RUNNING, Campaign.State.PAUSED))
    wrote_first = Exists(Conversation.objects.filter(bot_id=OuterRef("pk")))
    managers = Bot.objects.filter(Q(alive) | Q(wrote_first), role=Role.MANAGER, enabled=True)
    return set(managers.values_list("id", flat=True))


def chats_of(*, bot_id: UUID) -> list[Chat]:
    """The chats in which the bot must be a member to reach people without a username.

    These are the watched chats of its running campaigns for which a permission to parse is given.
    """
    watched = WatchedChat.objects.filter(
        campaign__managers__bot_id=bot_id, campaign__state=Campaign.State.RUNNING
    ).values_list("chat_id", flat=True)
    given = permissions_given(purpose=ChatPermission.Grant.PARSE, now=Now()).filter(chat_id__in=set(watched))
    return list(Chat.objects.filter(id__in=given.values("chat_id")).order_by("key"))
