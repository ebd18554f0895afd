"""Look up the name of an account, and whether a person on Telegram is one of the team's accounts."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q

from bots.models import Bot
from campaigns.identifiers import named, plain_username


def bot_name(bot_id: UUID) -> str | None:
    return bot_names([bot_id]).get(bot_id)


def bot_names(ids: Collection[UUID]) -> dict[UUID, str]:
    """The names of those accounts that exist."""
    # The row's secrets stay unread: another key may have encrypted them.
    return {bot.pk: str(bot) for bot in Bot.objects.only("display_name", "key").filter(pk__in=ids)}


def is_own_account(*, telegram_user_id: int | None, username: str = "") -> bool:
    """Whether that is one of the team's accounts, enabled or not.

    Usernames change hands: where both ids are known they decide. A name decides about somebody without an id, and
    about an account of ours that never logged in.
    """
    if telegram_user_id is None:
        who, unidentified = Q(pk__in=[]), Q()
    else:
        who, unidentified = Q(telegram_user_id=telegram_user_id), Q(telegram_user_id=None)
    if name := plain_username(username):
        who |= named(name) & unidentified
    return Bot.objects.filter(who).exists()
