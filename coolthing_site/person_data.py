"""Exports and erases a person's data in the panel's history, which names the rows that operators changed."""

from django.contrib.admin.models import LogEntry
from django.db import transaction

from messaging.database.locks import rows_lock
from privacy.person import Person
from privacy.registry import ERASED, Counts, PersonalData, Rows, as_dicts


class PanelPersonalData(PersonalData):
    name = "panel"
    models = ("admin.LogEntry",)

    def export(self, person: Person) -> Rows:
        return {"history": as_dicts(_entries(person))}

    @transaction.atomic
    def erase(self, person: Person) -> Counts:
        """Erase the row's name and the message of each entry. The user, the time and the kind of change stay."""
        found = rows_lock(LogEntry.objects.filter(pk__in=[row.pk for row in _entries(person)]))
        LogEntry.objects.filter(pk__in=found).update(object_repr=ERASED, change_message="")
        return {"history": len(found)}


def _entries(person: Person) -> list[LogEntry]:
    maybe = LogEntry.objects.filter(person.maybe_in("object_repr", "change_message"))
    return [row for row in maybe if person.mentioned_in(row.object_repr, row.change_message)]
