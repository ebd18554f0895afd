"""Looks up who is suppressed or erased, by Telegram id and by username."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q
from django.db.models.functions import Lower

from campaigns.identifiers import named, plain_username
from campaigns.models import Suppression
from campaigns.suppressions.hashing import id_hash, key_if_any, name_hash
from campaigns.suppressions.registry import bearer_of


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
        user_ids=frozenset(ids[hashed] for hashed in found & ids.keys()),
        names=frozenset(names[hashed] for hashed in found & names.keys()),
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
