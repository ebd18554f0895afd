"""Finds the person whose personal data an operator wants to export or erase, and erases it.

An erasure has four steps. Each step is committed separately, so that no data comes back meanwhile, and an erasure that
a crash has interrupted can be repeated:

1. The person is suppressed: no bot writes to them any more.
2. The person's hash is stored, under a lock that every service takes before it records a person's data. From then on
   nothing about the person is recorded.
3. Each room erases its rows.
4. The id and the username are removed from the suppression.
"""

import re

from django.db import transaction

from campaigns.identifiers import plain_username
from campaigns.models import Suppression
from campaigns.policy import locks
from campaigns.suppressions.hashing import id_hash, key_for_erasing, name_hash
from campaigns.suppressions.recording import suppression_add
from panelkit.errors import NotPossible
from panelkit.rights import PermissionHolder, require
from privacy.exporting import ids_met_as, person_complete
from privacy.person import Person
from privacy.registry import rooms
from texts.wording import counted

# An erasure deletes rows of every room for good, so the right to change leads or conversations is not enough.
ERASE_RIGHT = "campaigns.erase_person"
_USERNAME = re.compile(r"\w{2,32}", re.ASCII)


class StillLeaving(NotPossible):
    """Messages to the person are being sent at this moment. Try again when their outcome is known."""


def person_named(who: str) -> Person:
    """The person with this Telegram id or "@username".

    Raises NotPossible when `who` is neither, or when our records show several people under the username.
    """
    text = who.strip()
    if re.fullmatch(r"[1-9]\d{0,18}", text, re.ASCII):
        return Person(int(text))
    name = plain_username(text)
    if not text.startswith("@") or not _USERNAME.fullmatch(name):
        raise NotPossible(f"{text[:40]!r} is neither a Telegram id nor an @username.")
    ids = ids_met_as(name)
    if len(ids) > 1:
        several = ", ".join(str(user_id) for user_id in sorted(ids))
        raise NotPossible(f"Several people have had the username @{name}: enter one of the ids {several} instead.")
    return Person(next(iter(ids), None), frozenset({name}))


def person_erase(person: Person, *, by: PermissionHolder) -> tuple[dict[str, int], Suppression]:
    """Erase the person's data. Returns the numbers of erased rows by "room: kind", and the suppression that stays.

    That suppression has only the person's hash. May be called again, also after a crash. Raises PermissionDenied
    without ERASE_RIGHT, and NotPossible when a room refuses; nothing has changed then. Raises StillLeaving while
    messages to the person are being sent: the person is suppressed then, but nothing is erased yet.
    """
    require(by, ERASE_RIGHT)
    if refusal := next(filter(None, (room.why_not_erasable(person) for room in rooms())), ""):
        raise NotPossible(refusal)
    complete, _ = person_complete(person)
    suppression = _silence(complete)
    leaving = sum(room.leaving(complete) for room in rooms())
    if leaving:
        raise StillLeaving(
            f"{counted(leaving, 'message to this person is', 'messages to this person are')} being sent at this "
            "moment. Nothing more is sent to the person. Wait a moment until the outcome is known, then erase again."
        )
    suppression = _mark(suppression, complete)
    # Search once more: rows that were being recorded before the mark are committed now, maybe with another username.
    complete, _ = person_complete(complete)
    counts: dict[str, int] = {}
    for room in rooms():
        counts |= {f"{room.name}: {kind}": count for kind, count in room.erase(complete).items()}
    suppression.refresh_from_db()
    return counts, suppression


def _silence(person: Person) -> Suppression:
    names = sorted(person.usernames) or [""]
    rows = [
        suppression_add(
            telegram_user_id=person.telegram_user_id, username=name, source=Suppression.Source.ERASURE, reason=""
        )
        for name in names
    ]
    return rows[0]


@transaction.atomic
def _mark(suppression: Suppression, person: Person) -> Suppression:
    """Once this returns, nothing about the person is recorded any more. Returns the suppression that stays."""
    locks.erasures_lock_exclusive()
    key = key_for_erasing()
    user_id = person.telegram_user_id
    hashed = id_hash(key, user_id) if user_id is not None else name_hash(key, min(person.usernames))
    kept = Suppression.objects.filter(person_hash=hashed)
    if not kept.exists() and not Suppression.objects.filter(pk=suppression.pk).update(person_hash=hashed):
        # An operator has just deleted their own entry.
        Suppression.objects.create(person_hash=hashed, source=Suppression.Source.ERASURE)
    return kept.get()
