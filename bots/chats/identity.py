"""Record which chat is which, as accounts find it out: new ids, upgraded groups, references that lead elsewhere."""

import re
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from bots.accounts.incidents import chats_about, trouble_over, trouble_tell
from bots.models import Bot, Trouble
from campaigns.chats.identity import chat_identify, reference_strayed
from campaigns.models import Chat
from campaigns.wording import chat_phrase, other_chat_phrase
from telegram.errors import ChatElsewhere
from telegram.types import Dialog, ResolvedChat

# How the keys of its incidents begin; the chat's id follows.
_ELSEWHERE, _UNCONFIRMED, _NAMELESS = "elsewhere:", "unconfirmed:", "name:"
# What became of an account that had to join to see where an invite leads.
_JOINED = {
    "": "",
    "left": " The account joined it by the link and has left it again.",
    "stays": " The account joined it by the link and could not leave: leave that chat in Telegram's app.",
    # It may have joined a moment ago, and its connection was lost before it could leave.
    "before": " The account is in that chat: leave it in Telegram's app unless the account belongs there.",
}
# References that are names: @name, t.me/name, name.
_NAME = re.compile(r"(?:@|(?:https?://)?(?:www\.)?(?:t\.me|telegram\.me)/)?([A-Za-z]\w{2,31})/?", re.ASCII)


def in_former_group() -> Q:
    """Deliveries that were sent to a basic group which has been upgraded since: their numbers count there."""
    return Q(first_attempt_at__lt=F("chat__upgraded_at"))


def chat_resolved(*, chat_id: UUID, found: ResolvedChat, reference: str | None = None) -> None:
    """Store what a chat turned out to be, by following this reference. Raises SameChat and AnotherChat of
    campaigns.chats.identity."""
    chat_identify(
        chat_id=chat_id,
        telegram_id=found.telegram_id,
        kind=Chat.Kind(found.kind),
        title=found.title,
        upgraded_from=found.upgraded_from,
        reference=reference,
    )


def chat_upgraded(*, chat_id: UUID, telegram_id: int, upgraded_from: int) -> None:
    """The chat is a supergroup now. Raises as `chat_resolved`."""
    chat_identify(chat_id=chat_id, telegram_id=telegram_id, kind=Chat.Kind.SUPERGROUP, upgraded_from=upgraded_from)


@transaction.atomic
def chat_elsewhere(
    *, bot_id: UUID, chat_id: UUID, error: ChatElsewhere, reference: str, changed_at: datetime | None = None
) -> None:
    """The chat's reference leads to another chat: its permissions wait for an operator, who is notified once.

    An answer about another reference than today's, or older than its last change (`changed_at`), changes nothing.
    """
    chat = reference_strayed(chat_id=chat_id, leads_to=error.leads_to, reference=reference, changed_at=changed_at)
    if chat is None:
        return
    bot = Bot.objects.only("key", "display_name").get(pk=bot_id)
    other = other_chat_phrase(error.leads_to, title=error.title)
    reason = (
        f"{chat_phrase(chat)}: bot {bot} found that {chat.reference} leads to {other}.{_JOINED[error.joined]} "
        "Its permissions are suspended: correct the reference on the chat's page"
    )
    trouble_tell(key=f"{_ELSEWHERE}{chat.id}", reason=reason)


def unconfirmed_tell(*, chat: Chat, reason: str) -> None:
    """An account could not find out where the chat's changed reference leads."""
    trouble_tell(key=f"{_UNCONFIRMED}{chat.pk}", reason=reason)


def unconfirmed_reason(chat: Chat) -> str:
    """What `unconfirmed_tell` said last of the chat; empty when it said nothing."""
    told = Trouble.objects.filter(key=f"{_UNCONFIRMED}{chat.pk}").values_list("reason", flat=True)
    return told.first() or ""


def doubts_over() -> None:
    """References that an operator has corrected, or an account has confirmed: no incident any more."""
    strayed = Chat.objects.filter(reference_leads_to__isnull=False).values_list("id", flat=True)
    waiting = Chat.objects.filter(reference_changed_at__isnull=False).values_list("id", flat=True)
    still = {f"{_ELSEWHERE}{chat_id}" for chat_id in strayed} | {f"{_UNCONFIRMED}{chat_id}" for chat_id in waiting}
    about = Q(key__startswith=_ELSEWHERE) | Q(key__startswith=_UNCONFIRMED) | Q(key__startswith=_NAMELESS)
    troubles = list(Trouble.objects.filter(about))
    chats = chats_about(troubles)
    for trouble in troubles:
        chat = chats.get(trouble.key)
        nameless = trouble.key.startswith(_NAMELESS) and chat is not None and _bears(chat) in trouble.reason
        if trouble.key not in still and not nameless:
            trouble_over(key=trouble.key)


def nameless_tell(*, chat: Chat, error: str) -> None:
    """The chat has lost the name that it is referred to by, and nobody else has taken it."""
    reason = (
        f"{chat_phrase(chat)} does not {_bears(chat)} any more ({error}): correct its reference, or no "
        "other account can join it"
    )
    trouble_tell(key=f"{_NAMELESS}{chat.pk}", reason=reason)


def _bears(chat: Chat) -> str:
    """Also what tells whether the incident is about the reference of today: its title may be the same words."""
    return f"bear the name “{chat.reference}”"


def name_lost(chat: Chat, dialog: Dialog) -> bool:
    """Whether the chat is referred to by a name that it does not bear any more, as its account's list shows it."""
    named = _NAME.fullmatch(chat.reference.strip())
    return named is not None and named[1].lower() not in {name.lower() for name in dialog.usernames}
