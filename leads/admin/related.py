"""Links between pages: a hit, its lead, the conversation, its deliveries, and a suppression that ends it."""

from uuid import UUID

from django.db.models import F, Model, QuerySet
from django.db.models.functions import Lower
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from bots.admin.gate_preview import ICON, LABEL, may_preview, preview_url
from bots.models import Bot, Delivery
from campaigns.identifiers import plain_username
from campaigns.models import Purpose, Suppression
from leads.models import Conversation, Lead, Message
from leads.selectors import PersonRef, hit_place, leads_of
from leads.services.outgoing_messages import ORIGIN
from panelkit.labels import link_to, page_of
from panelkit.registry import Link, add_link, viewers_of
from parser.models import Hit
from parser.selectors import hit_of


def lead_of_hit(hit: Hit) -> Lead | None:
    """The campaign's lead for the hit's person. A later hit of the same person has no lead of its own."""
    leads = leads_of(PersonRef.of(hit.telegram_user_id, hit.username)).filter(campaign=hit.campaign_id)
    return leads.select_related("conversation").order_by(F("telegram_user_id").asc(nulls_last=True)).first()


def suppression_of(lead: Lead) -> Suppression | None:
    if lead.telegram_user_id is not None:
        return Suppression.objects.filter(telegram_user_id=lead.telegram_user_id).first()
    named = Suppression.objects.alias(name=Lower("username")).filter(telegram_user_id=None)
    return named.filter(name=plain_username(lead.username)).first()


def hit_link(lead: Lead) -> SafeString | str:
    hit = hit_of(event_id=lead.event_id)
    return link_to(hit, str(hit)) if hit is not None else "published by another program"


def suppression_link(lead: Lead) -> SafeString | str:
    suppression = suppression_of(lead)
    return link_to(suppression, suppression.get_source_display()) if suppression is not None else "not suppressed"


def parser_link(lead: Lead) -> SafeString | str:
    """A link to the parser account. Other programs may send another value than the id of one of our accounts."""
    try:
        bot = Bot.objects.only("key", "display_name").filter(pk=UUID(lead.worker_id)).first()
    except ValueError:
        bot = None
    return link_to(bot, str(bot)) if bot is not None else lead.worker_id


def chat_link(lead: Lead) -> SafeString | str:
    chat, name, address = hit_place(lead=lead)
    shown = link_to(chat, name) if chat is not None else name
    if not address:
        return shown
    link = '{} · <a class="text-link" href="{}" target="_blank" rel="noopener noreferrer">open in Telegram</a>'
    return format_html(link, shown, address)


def _gate_preview_url(lead: Lead, purpose: Purpose) -> str:
    """The URL of the gate preview for a message to the lead, with the form filled in."""
    conversation = Conversation.objects.filter(lead=lead).first()
    person = lead.telegram_user_id or f"@{lead.username}"
    return preview_url(
        campaign=lead.campaign_id, bot=conversation and conversation.bot_id, person=person, purpose=purpose.value
    )


def _page(row: Model | None) -> str:
    return page_of(row) if row is not None else ""


def _conversation_of_delivery(delivery: Delivery) -> Conversation | None:
    if delivery.origin != ORIGIN:
        return None
    message = Message.objects.select_related("conversation").filter(pk=delivery.origin_id).first()
    return message.conversation if message is not None else None


def _leads_of_suppression(suppression: Suppression) -> str:
    person = PersonRef.of(suppression.telegram_user_id, suppression.username)
    leads: QuerySet[Lead] = leads_of(person)
    if not person or not leads.exists():
        return ""
    return f"{reverse('admin:leads_lead_changelist')}?q={suppression.telegram_user_id or suppression.username}"


add_link(Lead, Link(LABEL, ICON, lambda lead: _gate_preview_url(lead, Purpose.FIRST_CONTACT), may_preview))
add_link(
    Conversation,
    Link(LABEL, ICON, lambda conversation: _gate_preview_url(conversation.lead, Purpose.REPLY), may_preview),
)
add_link(Hit, Link("Lead", "person_search", lambda hit: _page(lead_of_hit(hit)), viewers_of(Lead)))
add_link(
    Hit,
    Link(
        "Conversation",
        "forum",
        lambda hit: _page(getattr(lead_of_hit(hit), "conversation", None)),
        viewers_of(Conversation),
    ),
)
add_link(
    Delivery,
    Link(
        "Conversation", "forum", lambda delivery: _page(_conversation_of_delivery(delivery)), viewers_of(Conversation)
    ),
)
add_link(Suppression, Link("Leads", "person_search", _leads_of_suppression, viewers_of(Lead)))
