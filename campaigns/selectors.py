"""Reads of the facts that the gate's policy rests on."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower, Now

from campaigns.models import UNSEEN_CHAT, Campaign, Chat, ChatPermission, Suppression
from campaigns.suppressions.hashing import id_hash, key_if_any, name_hash
from campaigns.suppressions.registry import bearer_of

# Characters of a chat's name within a sentence.
_LONGEST_NAME = 60


def plain_username(username: str) -> str:
    """As names are compared: without @, in small letters."""
    return username.strip().removeprefix("@").lower()


def named(username: str) -> Q:
    """Rows whose `username` this is, in the words of the indexes on LOWER(username): `iexact` compares capitals, and
    would read every row there is. The ledger's names have an index of their own: `bots.gate.recipients.addressed_as`.
    """
    return Q(username__lower=plain_username(username), username__gt="")


@dataclass(frozen=True)
class Suppressed:
    """Of the people that were asked about, those whom nobody writes to. `names` are those whose bearers are not known
    yet: somebody known by id is judged by the id, whatever name they bear today."""

    user_ids: frozenset[int]
    names: frozenset[str]

    def covers(self, telegram_user_id: int | None, username: str = "") -> bool:
        return telegram_user_id in self.user_ids or plain_username(username) in self.names


def suppressed(*, user_ids: Iterable[int], usernames: Iterable[str]) -> Suppressed:
    ids, names = set(user_ids), {plain_username(name) for name in usernames} - {""}
    if not ids and not names:
        return Suppressed(frozenset(), frozenset())
    forgotten = erased(user_ids=ids, usernames=names)
    found = (
        Suppression.objects.annotate(name=Lower("username"))
        .filter(Q(telegram_user_id__in=ids) | Q(telegram_user_id=None, name__in=names, username__gt=""))
        .values_list("telegram_user_id", "name")
    )
    rows = list(found)
    return Suppressed(
        user_ids=forgotten.user_ids | {user_id for user_id, _ in rows if user_id is not None},
        names=forgotten.names | {name for user_id, name in rows if user_id is None},
    )


def erased(*, user_ids: Iterable[int], usernames: Iterable[str] = ()) -> Suppressed:
    """Of these people, those whose data was erased at their request: nothing of them is recorded again either."""
    key = key_if_any()
    if key is None:
        return Suppressed(frozenset(), frozenset())
    ids = {id_hash(key, user_id): user_id for user_id in user_ids}
    names = {name_hash(key, plain_username(name)): plain_username(name) for name in usernames if plain_username(name)}
    known = Suppression.objects.filter(person_hash__in=[*ids, *names])
    found = set(known.exclude(person_hash="").values_list("person_hash", flat=True))
    return Suppressed(
        user_ids=frozenset(ids[one] for one in found & ids.keys()),
        names=frozenset(names[one] for one in found & names.keys()),
    )


def is_erased(*, telegram_user_id: int | None, username: str = "") -> bool:
    """By the id; by the name for whoever is known by nothing else."""
    if telegram_user_id is not None:
        return telegram_user_id in erased(user_ids=[telegram_user_id]).user_ids
    return plain_username(username) in erased(user_ids=[], usernames=[username]).names


def is_suppressed(*, telegram_user_id: int | None = None, username: str = "") -> bool:
    user_ids = [] if telegram_user_id is None else [telegram_user_id]
    return suppressed(user_ids=user_ids, usernames=[username]).covers(telegram_user_id, username)


def suppressed_bearer(username: str) -> int | None:
    """Whom our records show under this name, if nobody writes to that person. Only Telegram knows whose it is today."""
    name = plain_username(username)
    bearer = bearer_of(name)
    if bearer is not None:
        return bearer if is_suppressed(telegram_user_id=bearer) else None
    noted = Suppression.objects.filter(named(name), telegram_user_id__isnull=False)
    # The newest is chosen here: a LIMIT would make the database read all suppressions by time, looking for the name.
    found = noted.values_list("created_at", "telegram_user_id")
    return max(found)[1] if found else None


@dataclass(frozen=True)
class Gap:
    """Why nothing may be done under a permission. `lasting`: it does not end by itself nor by an operator's look;
    else it is over at `until`, or (None) when an operator has looked, or (`unconfirmed`) an account."""

    reason: str
    lasting: bool = True
    until: datetime | None = None
    unconfirmed: bool = False


NONE_ON_RECORD = Gap("none is on record")


def in_force(now: datetime | Now) -> Q:
    """The permissions in force at `now`: a time, or the database's own at the moment of the statement."""
    return _given(now) & Q(chat__reference_changed_at__isnull=True)


def _given(now: datetime | Now) -> Q:
    """In force, or as soon as an account has confirmed the chat's changed reference."""
    begun = Q(valid_from__isnull=True) | Q(valid_from__lte=now)
    lasts = Q(valid_until__isnull=True) | Q(valid_until__gt=now)
    return Q(revoked_at__isnull=True, suspended_at__isnull=True) & begun & lasts


def chats_at(telegram_ids: Iterable[int]) -> dict[int, UUID]:
    """By marked id, the chats that have it, or had it as basic groups before they were upgraded."""
    wanted = set(telegram_ids)
    if not wanted:
        return {}
    found: dict[int, UUID] = {}
    rows = Chat.objects.filter(at_telegram(wanted)).values_list("id", "telegram_id", "upgraded_from_id")
    for chat_id, *ids in rows:
        found |= {one: chat_id for one in ids if one in wanted}
    return found


def at_telegram(telegram_ids: Iterable[int], *, path: str = "") -> Q:
    """Chats with one of these marked ids, today's or the former one; `path` leads to the chat: "chat__"."""
    wanted = set(telegram_ids)
    return Q(**{f"{path}telegram_id__in": wanted}) | Q(**{f"{path}upgraded_from_id__in": wanted})


def doubt_of(chat: Chat) -> str:
    """Why it is in doubt whose permission a chat has, and what to do; empty when it is not."""
    if chat.reference_leads_to is None:
        return ""
    return (
        f"{chat.reference} leads to {other_told(chat.reference_leads_to)} than the one whose owner gave the "
        f"permission: correct the reference of {chat_told(chat)}, or make the other one a new chat"
    )


def other_told(leads_to: int, *, title: str = "") -> str:
    """A chat's `reference_leads_to` within a sentence, by the `title` that Telegram gave or the name on record."""
    known = Chat.objects.filter(at_telegram([leads_to])).first() if not title else None
    name = title_told(title) if title else chat_told(known) if known is not None else ""
    unseen = "(whose id no account sees)" if leads_to == UNSEEN_CHAT else ""
    return " ".join(filter(None, ["another chat", name, unseen]))


def chat_told(chat: Chat) -> str:
    """A chat within a sentence: what to do stands behind it, and a long title would push that out of the column."""
    return title_told(str(chat))


def title_told(name: str) -> str:
    return f"“{name}”" if len(name) <= _LONGEST_NAME else f"“{name[: _LONGEST_NAME - 1]}…”"


def unconfirmed_told(changed_at: datetime) -> str:
    """Why a chat's permissions wait since its reference was changed, or is to be looked at again."""
    since = _minute(changed_at)
    return f"since {since} the reference has waited for an account to confirm that it leads to the same chat"


class Terms(NamedTuple):
    """What decides whether a permission is in force."""

    valid_from: datetime | None
    valid_until: datetime | None
    revoked_at: datetime | None
    suspended_at: datetime | None
    suspended_reason: str
    reference_changed_at: datetime | None


# Of each chat the open one, since it counts; else what was revoked last.
_LATEST_TERMS = """
    SELECT DISTINCT ON (chat_id) chat_id, valid_from, valid_until, revoked_at, suspended_at, suspended_reason,
        chat.reference_changed_at
    FROM campaigns_chatpermission JOIN campaigns_chat chat ON chat.id = chat_id
    WHERE chat_id = ANY(%s) AND purpose = %s
    ORDER BY chat_id, revoked_at DESC NULLS FIRST
"""


def gap_of(permission: ChatPermission | Terms, now: datetime) -> Gap | None:
    """The same for one row at hand, with the reason; None when it is in force."""
    if permission.revoked_at is not None:
        return Gap(f"it was revoked at {_minute(permission.revoked_at)}")
    if permission.valid_until is not None and permission.valid_until <= now:
        return Gap(f"it expired at {_minute(permission.valid_until)}")
    if permission.suspended_at is not None:
        return Gap(f"it is suspended until an operator has looked: {permission.suspended_reason}", lasting=False)
    if permission.reference_changed_at is not None:
        return Gap(unconfirmed_told(permission.reference_changed_at), lasting=False, unconfirmed=True)
    if permission.valid_from is not None and permission.valid_from > now:
        return Gap(f"it begins at {_minute(permission.valid_from)}", lasting=False, until=permission.valid_from)
    return None


def gap_at(chat: Chat, purpose: ChatPermission.Grant, now: datetime) -> Gap | None:
    """As `permission_gaps` for one chat, from its permissions, which may be at hand."""
    given = [one for one in chat.permissions.all() if one.purpose == purpose]
    if not given:
        return NONE_ON_RECORD
    ended_last = datetime.max.replace(tzinfo=UTC)
    return gap_of(max(given, key=lambda one: one.revoked_at or ended_last), now)


def permissions_in_force(*, purpose: ChatPermission.Grant, now: datetime | Now) -> QuerySet[ChatPermission]:
    return ChatPermission.objects.filter(in_force(now), purpose=purpose)


def permissions_given(*, purpose: ChatPermission.Grant, now: datetime | Now) -> QuerySet[ChatPermission]:
    """In force, or as soon as an account has confirmed the chat's changed reference: such chats are wanted, so that
    somebody looks."""
    return ChatPermission.objects.filter(_given(now), purpose=purpose)


def chats_permitted(
    *, chat_ids: Iterable[UUID], purpose: ChatPermission.Grant, now: datetime | Now | None = None
) -> set[UUID]:
    """Those of the chats whose owner's permission for this purpose is in force; without a time, by the database's."""
    permitted = permissions_in_force(purpose=purpose, now=now or Now()).filter(chat_id__in=set(chat_ids))
    return set(permitted.values_list("chat_id", flat=True))


def is_permitted(*, chat_id: UUID, purpose: ChatPermission.Grant, now: datetime | Now | None = None) -> bool:
    return chat_id in chats_permitted(chat_ids=[chat_id], purpose=purpose, now=now)


def permission_gaps(*, chat_ids: Iterable[UUID], purpose: ChatPermission.Grant, now: datetime) -> dict[UUID, Gap]:
    """Those of the chats for which no permission is in force at `now`, and why."""
    wanted = set(chat_ids)
    with connection.cursor() as cursor:
        cursor.execute(*permission_question(chat_ids=wanted, purpose=purpose))
        return permission_answer(cursor.fetchall(), chat_ids=wanted, now=now)


def permission_question(*, chat_ids: Iterable[UUID], purpose: ChatPermission.Grant) -> tuple[str, list[Any]]:
    """The statement of `permission_gaps`, for who asks several at once; `permission_answer` makes sense of its rows."""
    return _LATEST_TERMS, [list(chat_ids), str(purpose)]


def permission_answer(rows: Iterable[tuple[Any, ...]], *, chat_ids: Iterable[UUID], now: datetime) -> dict[UUID, Gap]:
    latest = {chat_id: gap_of(Terms(*terms), now) for chat_id, *terms in rows}
    gaps = {chat_id: latest.get(chat_id, NONE_ON_RECORD) for chat_id in chat_ids}
    return {chat_id: gap for chat_id, gap in gaps.items() if gap is not None}


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def campaign_names(ids: Iterable[UUID]) -> dict[UUID, str]:
    """The names of those campaigns that exist."""
    return dict(Campaign.objects.filter(id__in=list(ids)).values_list("id", "name"))
