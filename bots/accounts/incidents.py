"""Incidents: what is wrong is reported once, however often it is noticed, until it is over."""

import re
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from bots.events import SERVICE
from bots.models import Bot, Trouble
from campaigns.models import Chat
from messaging.database.clock import database_clock
from messaging.database.locks import rows_delete
from messaging.events import Event, ServiceErrorEvent
from messaging.publishing.outbox import publish_on_commit

FORGOTTEN = timedelta(days=1)
# A worker takes seconds to start, on a busy machine half a minute.
GRACE = timedelta(minutes=1)
# How the keys of what `trouble_tell_lasting` notes begin.
STARTING = "hosts:"
KEY_LENGTH, REASON_LENGTH = 200, 300
_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


def trouble_tell(*, key: str, reason: str, event: Event | None = None) -> bool:
    """Note that something is wrong, and publish it if it was not known yet (True). `key` names the trouble.

    Published is a ServiceErrorEvent of the bots, or `event` if given. Where `reason` has the id of an account, people
    read its name.
    """
    reason = _in_names(reason)
    with transaction.atomic():
        _, new = Trouble.objects.get_or_create(key=key[:KEY_LENGTH], defaults={"reason": reason[:REASON_LENGTH]})
        if new:
            publish_on_commit(event or ServiceErrorEvent(service=SERVICE, reason=reason))
        else:
            Trouble.objects.filter(key=key[:KEY_LENGTH]).update(
                count=F("count") + 1, last_at=Now(), reason=reason[:REASON_LENGTH]
            )
    return new


def trouble_tell_lasting(*, key: str, reason: str) -> bool:
    """As `trouble_tell`, for what is normal while processes start: it is published once it has lasted for GRACE.

    The processes that notice it report it every few seconds. After a silence of GRACE its time begins anew: nobody was
    looking.
    """
    with transaction.atomic():
        _, new = Trouble.objects.get_or_create(key=key, defaults={"reason": reason[:REASON_LENGTH]})
        row, now = Trouble.objects.select_for_update().filter(key=key).first(), database_clock()
        if row is None:
            # Over a moment ago.
            return False
        published = row.last_at - row.since >= GRACE
        if not published and now - row.last_at >= GRACE:
            row.since = now
        due = not published and now - row.since >= GRACE
        row.count, row.last_at, row.reason = row.count + (not new), now, reason[:REASON_LENGTH]
        row.save()
        if due:
            publish_on_commit(ServiceErrorEvent(service=SERVICE, reason=reason))
    return due


def troubles_shown() -> QuerySet[Trouble]:
    """Without what may be over when the processes have started."""
    young = Q(key__startswith=STARTING, last_at__lt=F("since") + GRACE)
    return Trouble.objects.exclude(young)


def _in_names(reason: str) -> str:
    ids = {UUID(text) for text in _ID.findall(reason)}
    named = Bot.objects.only("key", "display_name").in_bulk(ids) if ids else {}
    return _ID.sub(lambda found: str(named.get(UUID(found[0]), found[0])), reason)


def chats_about(troubles: Iterable[Trouble]) -> dict[str, Chat]:
    """By the key of the trouble, the chat that it is about: keys name chats by their ids."""
    ids = {trouble.key: set(_ID.findall(trouble.key)) for trouble in troubles}
    chats = Chat.objects.in_bulk([UUID(chat_id) for found in ids.values() for chat_id in found])
    about = {key: [chats[UUID(chat_id)] for chat_id in found if UUID(chat_id) in chats] for key, found in ids.items()}
    return {key: found[0] for key, found in about.items() if found}


def troubles_forget() -> int:
    """Remove what has not been noticed for a day: nobody will say that it is over."""
    return rows_delete(Trouble.objects.filter(last_at__lt=Now() - FORGOTTEN))


def trouble_over(*, key: str) -> None:
    """It works again: the next time is news."""
    Trouble.objects.filter(key=key[:KEY_LENGTH]).delete()
