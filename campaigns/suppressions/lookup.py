"""Looks up who is suppressed or erased, by Telegram id and by username."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q
from django.db.models.functions import Lower

from campaigns.identifiers import named, plain_username
from campaigns.models import Suppression
from campaigns.suppressions.hashing import id_hash, key_if_any, name_hash
from campaigns.suppressions.registry import last_id_of


@dataclass(frozen=True)
class Suppressed:
    """The suppressed people among the given ids and usernames.

    `names` are suppressed usernames whose Telegram ids are not known yet. A suppression that has an id applies to the
    id only, whatever username the person has today.
    """

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
    """The given people whose data was erased at their request. Nothing about them may be recorded again."""
    key = key_if_any()
    if key is None:
        return Suppressed(frozenset(), frozenset())
    ids = {id_hash(key, user_id): user_id for user_id in user_ids}
    names = {name_hash(key, plain_username(name)): plain_username(name) for name in usernames if plain_username(name)}
    known = Suppression.objects.filter(person_hash__in=[*ids, *names])
    found = set(known.exclude(person_hash="").values_list("person_hash", flat=True))
    return Suppressed(
        user_ids=frozenset(ids[hashed] for hashed in found & ids.keys()),
        names=frozenset(names[hashed] for hashed in found & names.keys()),
    )


def is_erased(*, telegram_user_id: int | None, username: str = "") -> bool:
    """Whether the person's data was erased: decided by the id if there is one, otherwise by the username."""
    if telegram_user_id is not None:
        return telegram_user_id in erased(user_ids=[telegram_user_id]).user_ids
    return plain_username(username) in erased(user_ids=[], usernames=[username]).names


def is_suppressed(*, telegram_user_id: int | None = None, username: str = "") -> bool:
    user_ids = [] if telegram_user_id is None else [telegram_user_id]
    return suppressed(user_ids=user_ids, usernames=[username]).covers(telegram_user_id, username)


def suppressed_id_of(username: str) -> int | None:
    """The id of the suppressed person whom our records show under this username; None if there is none.

    Our records may be out of date: only Telegram knows whose username it is today.
    """
    name = plain_username(username)
    last_id = last_id_of(name)
    if last_id is not None:
        return last_id if is_suppressed(telegram_user_id=last_id) else None
    noted = Suppression.objects.filter(named(name), telegram_user_id__isnull=False)
    # Python picks the newest row: with a LIMIT PostgreSQL would read suppressions by time until it finds the username.
    found = noted.values_list("created_at", "telegram_user_id")
    return max(found)[1] if found else None
