"""Chooses the account that confirms a chat's reference after an operator has changed it."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When

from bots.accounts.states import BARRED
from bots.models import Presence
from campaigns.models import Chat, ChatPermission

# For this time after the change an account is connected only to check the reference. Later, an account checks it when
# it is connected for other reasons.
CONNECT_FOR = timedelta(hours=1)


def references_to_check(*, bot_id: UUID, wanted: Collection[UUID]) -> list[Chat]:
    """The chats whose changed reference this account has to check.

    These are the chats that the account is in. If no account is in a chat, they include it if the account has to join
    it (`wanted`).
    """
    inside = Exists(connectable_presences().filter(chat_id=OuterRef("pk"), bot_id=bot_id))
    an_account = Exists(connectable_presences().filter(chat_id=OuterRef("pk")))
    return list(_waiting().filter(inside | (Q(pk__in=list(wanted)) & ~an_account)).order_by("key"))


def connectable_presences() -> QuerySet[Presence]:
    """The presences of accounts that can be connected."""
    return Presence.objects.filter(bot__enabled=True, bot__session__isnull=False).exclude(bot__state__in=BARRED)


def bots_to_check(*, role: str, now: datetime) -> set[UUID]:
    """The bots of this role that have to be connected to check references that were changed lately.

    There is one bot for each chat, if possible one that is connected already.
    """
    # A query of its own, which uses the index of the few chats that wait. In one query the planner reads all presences.
    lately = list(_waiting().filter(reference_changed_at__gt=now - CONNECT_FOR).values_list("pk", flat=True))
    if not lately:
        return set()
    connected = Case(When(bot__lease_expires_at__gt=now, then=Value(0)), default=Value(1))
    able = connectable_presences().filter(chat_id__in=lately).exclude(bot__blocked_until__gt=now)
    chosen = able.order_by("chat_id", connected, "bot__key").distinct("chat_id")
    roles = chosen.annotate(role=F("bot__role")).values_list("bot_id", "role")
    return {bot_id for bot_id, its in roles if its == role}


def _waiting() -> QuerySet[Chat]:
    on_record = ChatPermission.objects.filter(chat_id=OuterRef("pk"), revoked_at__isnull=True)
    return Chat.objects.filter(Exists(on_record), reference_changed_at__isnull=False)
