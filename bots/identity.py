"""What an account finds out about which chat is which: ids that are learned, groups that were upgraded, references that
lead elsewhere."""

import re
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from bots.models import Bot, Trouble
from bots.troubles import trouble_over, trouble_tell
from campaigns.identity import chat_identify, reference_strayed
from campaigns.models import Chat
from telegram.types import Dialog, ResolvedChat

# How the key of its incident begins; the chat's id follows.
_ELSEWHERE = "elsewhere:"
# References that are names: @name, t.me/name, name.
_NAME = re.compile(r"(?:@|(?:https?://)?(?:www\.)?(?:t\.me|telegram\.me)/)?([A-Za-z]\w{2,31})/?", re.ASCII)


def in_former_group() -> Q:
    """Deliveries that were sent to a basic group which has been upgraded since: their numbers count there."""
    return Q(first_attempt_at__lt=F("chat__upgraded_at"))


def chat_resolved(*, chat_id: UUID, found: ResolvedChat) -> None:
    """Store what a chat turned out to be. Raises SameChat and AnotherChat of campaigns.identity."""
    chat_identify(
        chat_id=chat_id,
        telegram_id=found.telegram_id,
        kind=Chat.Kind(found.kind),
        title=found.title,
        upgraded_from=found.upgraded_from,
    )


def chat_upgraded(*, chat_id: UUID, telegram_id: int, upgraded_from: int) -> None:
    """The chat is a supergroup now. Raises as `chat_resolved`."""
    chat_identify(chat_id=chat_id, telegram_id=telegram_id, kind=Chat.Kind.SUPERGROUP, upgraded_from=upgraded_from)


@transaction.atomic
def chat_elsewhere(*, bot_id: UUID, chat_id: UUID, leads_to: int) -> None:
    """The chat's reference leads to another chat: its permissions wait for an operator, who is notified once."""
    chat = reference_strayed(chat_id=chat_id, leads_to=leads_to)
    bot = Bot.objects.only("key").get(pk=bot_id)
    reason = (
        f"chat {chat.key}: bot {bot.key} found that {chat.reference} leads to another chat ({leads_to}) than before "
        f"({chat.telegram_id}). Its permissions are suspended: correct the reference on the chat's page"
    )
    trouble_tell(key=f"{_ELSEWHERE}{chat.id}", reason=reason)


def doubts_over() -> None:
    """References that an operator has corrected: no incident any more."""
    strayed = Chat.objects.filter(reference_leads_to__isnull=False).values_list("id", flat=True)
    still = {f"{_ELSEWHERE}{chat_id}" for chat_id in strayed}
    for key in Trouble.objects.filter(key__startswith=_ELSEWHERE).values_list("key", flat=True):
        if key not in still:
            trouble_over(key=key)


def name_lost(chat: Chat, dialog: Dialog) -> bool:
    """Whether the chat is referred to by a name that it does not bear any more, as its account's list shows it."""
    named = _NAME.fullmatch(chat.reference.strip())
    return named is not None and named[1].lower() not in {name.lower() for name in dialog.usernames}
