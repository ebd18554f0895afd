"""Records suppressions, and binds a suppressed username to the person's id as soon as the id is known."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from campaigns.identifiers import named, plain_username
from campaigns.models import Suppression
from campaigns.policy import locks
from campaigns.suppressions import registry
from campaigns.suppressions.hashing import id_hash, key_if_any, name_hash
from campaigns.suppressions.lookup import is_suppressed
from campaigns.suppressions.registry import SuppressedPerson
from messaging.database.clock import database_clock

OWN_RECORDS = "our own records"


@transaction.atomic
def suppression_add(
    *, telegram_user_id: int | None, username: str = "", source: Suppression.Source, reason: str = ""
) -> Suppression:
    """Suppress a person, so that no bot writes to them again, and let the rooms above act on it (`registry`).

    A second call changes nothing. Pass both the id and the username if both are known. A username alone stands for the
    person who had it in our latest record. Without a record the suppression applies to any person who has the username,
    until `suppression_resolve` learns whose it is. The caller must have no lock that comes after those of the rooms
    above. Raises ValueError without an id and a username.
    """
    name = plain_username(username)
    if telegram_user_id is None and not name:
        raise ValueError("A suppression needs a Telegram id or a username.")
    facts: dict[str, Any] = {"source": source, "reason": reason[:300]}
    if telegram_user_id is None and (found := registry.last_id_of(name)) is not None:
        telegram_user_id = found
        facts |= {"resolved_at": database_clock(), "resolved_by": OWN_RECORDS}
    person = SuppressedPerson(telegram_user_id, name, Suppression.Source(source), reason)
    registry.lock_all(person)
    locks.suppressions_lock_exclusive()
    suppression = _put(telegram_user_id, name, facts)
    registry.after_all(person)
    return suppression


def suppression_resolve(*, telegram_user_id: int, username: str, by: str) -> bool:
    """Bind a suppressed username to the id that is known to have it now.

    If only the username was suppressed, the suppression applies to the id from now on (True), and no longer to a person
    who has the username later. If there is nothing to do, this costs one indexed query. The caller must have no lock
    that comes after those of the rooms above.
    """
    name = plain_username(username)
    bound = erased_resolve(telegram_user_id=telegram_user_id, username=name)
    if bound or not name or not _unresolved(name).exists():
        return bound
    with transaction.atomic():
        row = _unresolved(name).first()
        if row is None:
            return False
        person = SuppressedPerson(telegram_user_id, name, Suppression.Source(row.source), row.reason)
        registry.lock_all(person)
        locks.suppressions_lock_exclusive()
        if not _bind(name, telegram_user_id, by):
            return False
        registry.after_all(person)
    return True


def erased_resolve(*, telegram_user_id: int, username: str) -> bool:
    """Like `suppression_resolve`, but only for a person who was erased when only the username was known."""
    key, name = key_if_any(), plain_username(username)
    if key is None or not name:
        return False
    by_name = Suppression.objects.filter(person_hash=name_hash(key, name))
    if not by_name.exists():
        return False
    # No delivery to the person is queued. The lock keeps other transactions from writing suppressions meanwhile.
    with transaction.atomic():
        locks.suppressions_lock_exclusive()
        return _erased_resolve(by_name, id_hash(key, telegram_user_id), telegram_user_id)


def _erased_resolve(by_name: QuerySet[Suppression], wanted: str, telegram_user_id: int) -> bool:
    if Suppression.objects.filter(person_hash=wanted).exists():
        return bool(by_name.delete()[0])
    # An older suppression with the id, or one from a file, would reveal the person: replace it with the hash.
    plain = Suppression.objects.filter(telegram_user_id=telegram_user_id)
    if plain.update(person_hash=wanted, telegram_user_id=None, username="", reason="", resolved_by=""):
        return bool(by_name.delete()[0])
    return bool(by_name.update(person_hash=wanted))


def _put(telegram_user_id: int | None, name: str, facts: dict[str, Any]) -> Suppression:
    """Write the suppression. The caller has locked the suppressions."""
    if (forgotten := _erased_row(telegram_user_id, name)) is not None:
        return forgotten
    if telegram_user_id is None:
        unresolved = Suppression.objects.filter(named(name), telegram_user_id=None)
        by_name, _ = unresolved.get_or_create(defaults={"username": name, **facts})
        return by_name
    if name:
        _bind(name, telegram_user_id, "an entry with the username and the id")
    by_id, created = Suppression.objects.get_or_create(
        telegram_user_id=telegram_user_id, defaults={"username": name, **facts}
    )
    if not created and name and plain_username(by_id.username) != name:
        by_id.username = name
        by_id.save(update_fields=["username"])
    return by_id


def _erased_row(telegram_user_id: int | None, name: str) -> Suppression | None:
    """The suppression of an erased person, who is suppressed already and must not be recorded again; None otherwise."""
    key = key_if_any()
    if key is None:
        return None
    wanted = name_hash(key, name) if telegram_user_id is None else id_hash(key, telegram_user_id)
    return Suppression.objects.filter(person_hash=wanted).first()


def _bind(name: str, telegram_user_id: int, by: str) -> int:
    """Turn the suppression of a username into the suppression of an id. The caller has locked the suppressions.

    Returns the number of changed suppressions, 0 or 1.
    """
    if is_suppressed(telegram_user_id=telegram_user_id):
        gone, _ = _unresolved(name).delete()
        return gone
    pk = _unresolved(name).values_list("pk", flat=True).first()
    return Suppression.objects.filter(pk=pk, telegram_user_id=None).update(
        telegram_user_id=telegram_user_id, resolved_at=database_clock(), resolved_by=by[:60]
    )


def _unresolved(name: str) -> Any:
    return Suppression.objects.filter(named(name), telegram_user_id=None)
