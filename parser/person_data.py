"""Exports and erases a person's data in the parser: hits on their messages in watched chats."""

from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Lower

from campaigns.identifiers import named
from messaging.database.locks import rows_lock
from parser.models import Hit
from privacy.person import Person
from privacy.registry import Counts, PersonalData, Rows, as_dicts


class ParserPersonalData(PersonalData):
    name = "parser"
    models = ("parser.Hit",)

    def ids_met_as(self, username: str) -> set[int]:
        known = Hit.objects.filter(named(username))
        return set(known.values_list("telegram_user_id", flat=True))

    def usernames_of(self, telegram_user_id: int) -> set[str]:
        hits = Hit.objects.filter(telegram_user_id=telegram_user_id).exclude(username="")
        return set(hits.values_list(Lower("username"), flat=True))

    def event_ids(self, person: Person) -> set[UUID]:
        return set(_hits(person).values_list("pk", flat=True))

    def texts(self, person: Person) -> set[str]:
        hits = _hits(person)
        now = hits.exclude(edited_text="").values_list("edited_text", flat=True)
        return {*hits.values_list("text", flat=True), *now}

    def export(self, person: Person) -> Rows:
        return {"hits": as_dicts(_hits(person))}

    @transaction.atomic
    def erase(self, person: Person) -> Counts:
        return {"hits": Hit.objects.filter(pk__in=rows_lock(_hits(person))).delete()[0]}


def _hits(person: Person) -> QuerySet[Hit]:
    """The person's hits, found by id, which every hit has."""
    return Hit.objects.filter(telegram_user_id__in=person.ids)
