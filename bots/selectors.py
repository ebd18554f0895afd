"""Look up accounts' names, and whether a Telegram user is one of the team's accounts."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q

from bots.models import Bot
from campaigns.identifiers import named, plain_username


def bot_name(bot_id: UUID) -> str | None:
    return bot_names([bot_id]).get(bot_id)


def bot_names(ids: Collection[UUID]) -> dict[UUID, str]:
    """The names of these accounts by id, without accounts that do not exist."""
    # Do not load the secrets: they may be encrypted with a key that this process does not have.
    return {bot.pk: str(bot) for bot in Bot.objects.only("display_name", "key").filter(pk__in=ids)}


def is_own_account(*, telegram_user_id: int | None, username: str = "") -> bool:
    """Whether the user is one of the team's accounts, enabled or not.

    Usernames may pass to other users, so ids decide if both are known. The username decides only for a user without an
    id, and for an account of the team that has never logged in.
    """
    if telegram_user_id is None:
        who, unidentified = Q(pk__in=[]), Q()
    else:
        who, unidentified = Q(telegram_user_id=telegram_user_id), Q(telegram_user_id=None)
    if name := plain_username(username):
        who |= named(name) & unidentified
    return Bot.objects.filter(who).exists()
