"""Reads of the facts that the gate's policy rests on."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Lower

from campaigns.models import Campaign, ChatPermission, Suppression


def plain_username(username: str) -> str:
    """As names are compared: without @, in small letters."""
    return username.strip().removeprefix("@").lower()


@dataclass(frozen=True)
class Suppressed:
    """Of the people that were asked about, those whom nobody writes to."""

    user_ids: frozenset[int]
    usernames: frozenset[str]

    def covers(self, telegram_user_id: int | None, username: str = "") -> bool:
        """An id or a name is enough: a wrong silence costs less than a message to someone who said stop."""
        return telegram_user_id in self.user_ids or plain_username(username) in self.usernames


def suppressed(*, user_ids: Iterable[int], usernames: Iterable[str]) -> Suppressed:
    ids, names = set(user_ids), {plain_username(name) for name in usernames} - {""}
    found = (
        Suppression.objects.annotate(name=Lower("username"))
        .filter(Q(telegram_user_id__in=ids) | Q(name__in=names))
        .values_list("telegram_user_id", "name")
    )
    rows = list(found) if ids or names else []
    return Suppressed(
        user_ids=frozenset(user_id for user_id, _ in rows if user_id is not None),
        usernames=frozenset(name for _, name in rows if name),
    )


def is_suppressed(*, telegram_user_id: int | None = None, username: str = "") -> bool:
    user_ids = [] if telegram_user_id is None else [telegram_user_id]
    return suppressed(user_ids=user_ids, usernames=[username]).covers(telegram_user_id, username)


def chats_permitted(*, chat_ids: Iterable[UUID], purpose: ChatPermission.Grant) -> set[UUID]:
    """Those of the chats whose owner's permission for this purpose is in force."""
    return set(
        ChatPermission.objects.filter(chat_id__in=set(chat_ids), purpose=purpose, revoked_at__isnull=True).values_list(
            "chat_id", flat=True
        )
    )


def is_permitted(*, chat_id: UUID, purpose: ChatPermission.Grant) -> bool:
    return chat_id in chats_permitted(chat_ids=[chat_id], purpose=purpose)


def campaign_names(ids: Iterable[UUID]) -> dict[UUID, str]:
    """The names of those campaigns that exist."""
    return dict(Campaign.objects.filter(id__in=list(ids)).values_list("id", "name"))
