"""The panel's part of a person's data: its history names the rows that operators changed."""

from django.contrib.admin.models import LogEntry
from django.db import transaction

from messaging.database.locks import rows_lock
from messaging.persons import ERASED, Counts, Person, Room, Rows, as_dicts


class PanelRoom(Room):
    name = "panel"
    models = ("admin.LogEntry",)

    def export(self, person: Person) -> Rows:
        return {"history": as_dicts(_entries(person))}

    @transaction.atomic
    def erase(self, person: Person) -> Counts:
        """That somebody did something stays, with whom and when."""
        found = rows_lock(LogEntry.objects.filter(pk__in=[row.pk for row in _entries(person)]))
        LogEntry.objects.filter(pk__in=found).update(object_repr=ERASED, change_message="")
        return {"history": len(found)}


def _entries(person: Person) -> list[LogEntry]:
    maybe = LogEntry.objects.filter(person.maybe_in("object_repr", "change_message"))
    return [row for row in maybe if person.mentioned_in(row.object_repr, row.change_message)]
