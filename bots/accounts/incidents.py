"""Incidents: a problem is reported once, however often processes notice it, until it is over."""

import re
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from bots.events import SERVICE
from bots.models import Bot, Incident
from campaigns.models import Chat
from messaging.database.clock import database_clock
from messaging.database.locks import rows_delete
from messaging.events import Event, ServiceErrorEvent
from messaging.publishing.outbox import publish_on_commit

FORGOTTEN = timedelta(days=1)
# Some problems are normal while processes start: they are published only if they last this long. A worker starts within
# seconds, on a busy machine within half a minute.
GRACE = timedelta(minutes=1)
# The prefix of the keys that callers pass to `incident_report_lasting`.
STARTING = "hosts:"
KEY_LENGTH, REASON_LENGTH = 200, 300
_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


def incident_report(*, key: str, reason: str, event: Event | None = None) -> bool:
    """Record the incident `key` and publish an event if the incident is new. Returns whether it is.

    The event is `event`, or a ServiceErrorEvent of the bots with `reason`. Ids of accounts in `reason` are replaced by
    their names.
    """
    reason = _in_names(reason)
    with transaction.atomic():
        _, new = Incident.objects.get_or_create(key=key[:KEY_LENGTH], defaults={"reason": reason[:REASON_LENGTH]})
        if new:
            publish_on_commit(event or ServiceErrorEvent(service=SERVICE, reason=reason))
        else:
            Incident.objects.filter(key=key[:KEY_LENGTH]).update(
                count=F("count") + 1, last_at=Now(), reason=reason[:REASON_LENGTH]
            )
    return new


def incident_report_lasting(*, key: str, reason: str) -> bool:
    """Record an incident that is normal while processes start, and publish it when it has lasted for GRACE.

    Processes that notice the incident call this every few seconds. If GRACE passes without a call before the incident
    is published, its duration starts again at zero, because no process was watching. Returns whether the incident was
    published by this call.
    """
    with transaction.atomic():
        _, new = Incident.objects.get_or_create(key=key, defaults={"reason": reason[:REASON_LENGTH]})
        row, now = Incident.objects.select_for_update().filter(key=key).first(), database_clock()
        if row is None:
            # Another process has just reported that the incident is over.
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


def incidents_shown() -> QuerySet[Incident]:
    """Open incidents, without those that may only be due to processes that are starting."""
    young = Q(key__startswith=STARTING, last_at__lt=F("since") + GRACE)
    return Incident.objects.exclude(young)


def _in_names(reason: str) -> str:
    ids = {UUID(text) for text in _ID.findall(reason)}
    named = Bot.objects.only("key", "display_name").in_bulk(ids) if ids else {}
    return _ID.sub(lambda found: str(named.get(UUID(found[0]), found[0])), reason)


def chats_about(incidents: Iterable[Incident]) -> dict[str, Chat]:
    """The chats that incidents concern, by the incident's key, which contains the chat's id."""
    ids = {incident.key: set(_ID.findall(incident.key)) for incident in incidents}
    chats = Chat.objects.in_bulk([UUID(chat_id) for found in ids.values() for chat_id in found])
    about = {key: [chats[UUID(chat_id)] for chat_id in found if UUID(chat_id) in chats] for key, found in ids.items()}
    return {key: found[0] for key, found in about.items() if found}


def incidents_forget() -> int:
    """Delete incidents that no process has noticed for a day. The processes that would close them are gone.

    Returns the number of deleted rows.
    """
    return rows_delete(Incident.objects.filter(last_at__lt=Now() - FORGOTTEN))


def incident_close(*, key: str) -> None:
    """Delete the incident, because it is over. If the problem returns, it is reported as a new incident."""
    Incident.objects.filter(key=key[:KEY_LENGTH]).delete()
