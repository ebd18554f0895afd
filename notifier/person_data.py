"""The notifier's part of a person's data: what channels were told of events that name somebody."""

import json

from django.db import transaction
from django.db.models import Q

from messaging.database.locks import rows_lock
from messaging.persons import Counts, Person, Room, Rows, as_dicts
from notifier.models import Notification


class NotifierRoom(Room):
    name = "notifier"
    models = ("notifier.Notification",)

    def export(self, person: Person) -> Rows:
        return {"notifications": as_dicts(_notifications(person))}

    @transaction.atomic
    def erase(self, person: Person) -> Counts:
        """What channels have received is theirs: a file, another program."""
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
