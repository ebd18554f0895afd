"""Exports and erases a person's data in the notifier: notifications of events that name the person."""

import json

from django.db import transaction
from django.db.models import Q

from messaging.database.locks import rows_lock
from notifier.models import Notification
from privacy.person import Person
from privacy.registry import Counts, PersonalData, Rows, as_dicts


class NotifierPersonalData(PersonalData):
    name = "notifier"
    models = ("notifier.Notification",)

    def export(self, person: Person) -> Rows:
        return {"notifications": as_dicts(_notifications(person))}

    @transaction.atomic
    def erase(self, person: Person) -> Counts:
        """Delete the person's notifications.

        What a channel has received (a file, another program) cannot be deleted.
        """
        found = rows_lock(Notification.objects.filter(pk__in=[row.pk for row in _notifications(person)]))
        Notification.objects.filter(pk__in=found).delete()
        return {"notifications": len(found)}


def _notifications(person: Person) -> list[Notification]:
    maybe = Notification.objects.filter(Q(event_id__in=person.event_ids) | person.maybe_in("title", "body", "error"))
    return [
        row
        for row in maybe
        if row.event_id in person.event_ids or person.mentioned_in(row.title, row.error, json.dumps(row.body))
    ]
