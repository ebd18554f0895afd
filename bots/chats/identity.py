"""Records what accounts find out about chats' identities: ids, upgraded groups, references that lead elsewhere."""

import re
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from bots.accounts.incidents import chats_about, incident_close, incident_report
from bots.models import Bot, Incident
from campaigns.chats.identity import chat_identify, reference_strayed
from campaigns.models import Chat
from campaigns.wording import chat_phrase, other_chat_phrase
from telegram.errors import ReferenceLeadsElsewhere
from telegram.types import Dialog, ResolvedChat

# The prefixes of the incidents' keys; the chat's id follows.
_ELSEWHERE, _UNCONFIRMED, _NAMELESS = "elsewhere:", "unconfirmed:", "name:"
# Sentences about an account that had to join a chat to see where its invite link leads.
_JOINED = {
    "": "",
    "left": " The account joined that chat by the link and has left it again.",
    "stays": " The account joined that chat by the link and could not leave it: leave it in Telegram's app.",
    # It may have joined just now, and lost its connection before it could leave.
    "before": " The account is in that chat: leave it in Telegram's app unless the account belongs there.",
}
# The part of an incident's reason that contains the reference. It is more than the reference, because the chat's title
# may be the same text. Incidents that opened before the wording changed have the second text.
_LOST_NAME, _LOST_NAME_BEFORE = "no longer has the username “{}”", "bear the name “{}”"
# References that are usernames: @name, t.me/name, name.
_NAME = re.compile(r"(?:@|(?:https?://)?(?:www\.)?(?:t\.me|telegram\.me)/)?([A-Za-z]\w{2,31})/?", re.ASCII)


def in_former_group() -> Q:
    """Deliveries that were sent to a basic group before it was upgraded: their message ids are those of the group."""
    return Q(first_attempt_at__lt=F("chat__upgraded_at"))


def chat_resolved(*, chat_id: UUID, found: ResolvedChat, reference: str | None = None) -> None:
    """Record the chat that an account found by following this reference.

    Raises SameChat and AnotherChat as `campaigns.chats.identity.chat_identify` does.
    """
    chat_identify(
        chat_id=chat_id,
        telegram_id=found.telegram_id,
        kind=Chat.Kind(found.kind),
        title=found.title,
        upgraded_from=found.upgraded_from,
        reference=reference,
    )


def chat_upgraded(*, chat_id: UUID, telegram_id: int, upgraded_from: int) -> None:
    """Record that the chat is a supergroup now. Raises SameChat and AnotherChat as `chat_resolved` does."""
    chat_identify(chat_id=chat_id, telegram_id=telegram_id, kind=Chat.Kind.SUPERGROUP, upgraded_from=upgraded_from)


@transaction.atomic
def chat_elsewhere(
    *, bot_id: UUID, chat_id: UUID, error: ReferenceLeadsElsewhere, reference: str, changed_at: datetime | None = None
) -> None:
    """Suspend the chat's permissions, because its reference leads to another chat, and notify operators once.

    Nothing changes if the chat's reference is no longer `reference`, or was changed again after `changed_at`.
    """
    chat = reference_strayed(chat_id=chat_id, leads_to=error.leads_to, reference=reference, changed_at=changed_at)
    if chat is None:
        return
    bot = Bot.objects.only("key", "display_name").get(pk=bot_id)
    other = other_chat_phrase(error.leads_to, title=error.title)
    reason = (
        f"{chat_phrase(chat)}: account {bot} found that {chat.reference} leads to {other}.{_JOINED[error.joined]} "
        "The chat's permissions are suspended: correct the reference on the chat's page"
    )
    incident_report(key=f"{_ELSEWHERE}{chat.id}", reason=reason)


def unconfirmed_report(*, chat: Chat, reason: str) -> None:
    """Report that an account could not find out where the chat's changed reference leads."""
    incident_report(key=f"{_UNCONFIRMED}{chat.pk}", reason=reason)


def unconfirmed_reason(chat: Chat) -> str:
    """The last reason that `unconfirmed_report` reported for the chat; empty if the incident is not open."""
    reasons = Incident.objects.filter(key=f"{_UNCONFIRMED}{chat.pk}").values_list("reason", flat=True)
    return reasons.first() or ""


def reference_incidents_close() -> None:
    """Close the incidents about references that an operator has corrected or an account has confirmed."""
    strayed = Chat.objects.filter(reference_leads_to__isnull=False).values_list("id", flat=True)
    waiting = Chat.objects.filter(reference_changed_at__isnull=False).values_list("id", flat=True)
    still = {f"{_ELSEWHERE}{chat_id}" for chat_id in strayed} | {f"{_UNCONFIRMED}{chat_id}" for chat_id in waiting}
    about = Q(key__startswith=_ELSEWHERE) | Q(key__startswith=_UNCONFIRMED) | Q(key__startswith=_NAMELESS)
    incidents = list(Incident.objects.filter(about))
    chats = chats_about(incidents)
    for incident in incidents:
        chat = chats.get(incident.key)
        nameless = incident.key.startswith(_NAMELESS) and chat is not None and _is_about_reference(incident, chat)
        if incident.key not in still and not nameless:
            incident_close(key=incident.key)


def lost_username_report(*, chat: Chat, error: str) -> None:
    """Report that the chat no longer has the username of its reference, and no other chat or person has it."""
    reason = (
        f"{chat_phrase(chat)} {_LOST_NAME.format(chat.reference)} ({error}): correct the reference, "
        "because no other account can use it to join the chat"
    )
    incident_report(key=f"{_NAMELESS}{chat.pk}", reason=reason)


def _is_about_reference(incident: Incident, chat: Chat) -> bool:
    """Whether a `nameless` incident is about the chat's present reference."""
    return any(part.format(chat.reference) in incident.reason for part in (_LOST_NAME, _LOST_NAME_BEFORE))


def username_lost(chat: Chat, dialog: Dialog) -> bool:
    """Whether the chat's reference is a username that it no longer has, according to the account's list of chats."""
    named = _NAME.fullmatch(chat.reference.strip())
    return named is not None and named[1].lower() not in {name.lower() for name in dialog.usernames}
