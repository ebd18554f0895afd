"""Names a person for an export of their personal data, and erases it.

An erasure goes in steps, each committed, so that nothing comes back while it runs and one that a crash cut off only has
to be repeated: (1) nobody writes to the person any more; (2) their hash is on record, under a lock that everything that
records a person's data takes, so that nothing about them is recorded any more; (3) each room erases its rows; (4) the
suppression forgets who the person was.
"""

import re

from django.db import transaction

from campaigns.identifiers import plain_username
from campaigns.models import Suppression
from campaigns.policy import fences
from campaigns.suppressions.hashing import id_hash, key_for_erasing, name_hash
from campaigns.suppressions.recording import suppression_add
from panelkit.errors import NotPossible
from panelkit.rights import Asking, require
from privacy.exporting import ids_met_as, person_complete
from privacy.person import Person
from privacy.registry import rooms
from texts.wording import counted

# Rows of every room go for good: the right to change leads or conversations does not include it.
ERASE_RIGHT = "campaigns.erase_person"
_USERNAME = re.compile(r"\w{2,32}", re.ASCII)


class StillLeaving(NotPossible):
    """Messages to the person are being sent at this moment: try again when their outcome is known."""


def person_named(who: str) -> Person:
    """From an id or "@name". Raises NotPossible when it is neither, or the name is several people's."""
    text = who.strip()
    if re.fullmatch(r"[1-9]\d{0,18}", text, re.ASCII):
        return Person(int(text))
    name = plain_username(text)
    if not text.startswith("@") or not _USERNAME.fullmatch(name):
        raise NotPossible(f"{text[:40]!r} is neither a Telegram id nor an @username.")
    ids = ids_met_as(name)
    if len(ids) > 1:
        several = ", ".join(str(user_id) for user_id in sorted(ids))
        raise NotPossible(f"Several people were met as @{name}: say which of the ids {several} is meant.")
    return Person(next(iter(ids), None), frozenset({name}))


def person_erase(person: Person, *, by: Asking) -> tuple[dict[str, int], Suppression]:
    """Erase the person's data; returns how many rows, as "room: kind", and what stays: the suppression by hash.

    May be called again, also after a crash in the middle. Raises PermissionDenied without ERASE_RIGHT and NotPossible,
    before anything is changed, and StillLeaving: then nothing more is sent to them, and nothing is erased yet.
    """
    require(by, ERASE_RIGHT)
    if refusal := next(filter(None, (room.why_not_erasable(person) for room in rooms())), ""):
        raise NotPossible(refusal)
    complete, _ = person_complete(person)
    suppression = _silence(complete)
    leaving = sum(room.leaving(complete) for room in rooms())
    if leaving:
        raise StillLeaving(
            f"{counted(leaving, 'message to this person is', 'messages to this person are')} leaving at this moment. "
            "Nothing more is said to them; erase again in a moment, when it is known what became of those."
        )
    suppression = _mark(suppression, complete)
    # Once more: rows that were being recorded before the mark are committed by now, and may hold another username.
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
    fences.erasing_close()
    key = key_for_erasing()
    who = person.telegram_user_id
    hashed = id_hash(key, who) if who is not None else name_hash(key, min(person.usernames))
    kept = Suppression.objects.filter(person_hash=hashed)
    if not kept.exists() and not Suppression.objects.filter(pk=suppression.pk).update(person_hash=hashed):
        # An operator has just deleted their own entry.
        Suppression.objects.create(person_hash=hashed, source=Suppression.Source.ERASURE)
    return kept.get()
