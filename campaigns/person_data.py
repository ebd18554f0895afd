"""This room's part of a person's data: the suppression, of which a hash stays, and budgets of their own."""

from collections.abc import Collection

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from campaigns.models import Budget, Suppression
from campaigns.policy import fences
from campaigns.selectors import erased, named
from messaging.database.locks import rows_lock
from messaging.persons import Counts, Person, Room, Rows, as_dicts


class CampaignsRoom(Room):
    name = "campaigns"
    models = ("campaigns.Suppression", "campaigns.Budget")

    def bearers(self, username: str) -> set[int]:
        known = Suppression.objects.filter(named(username)).values_list("telegram_user_id", flat=True)
        return {one for one in known if one is not None}

    def names(self, telegram_user_id: int) -> set[str]:
        known = Suppression.objects.filter(telegram_user_id=telegram_user_id).exclude(username="")
        return set(known.values_list(Lower("username"), flat=True))

    def export(self, person: Person) -> Rows:
        return {
            "suppressions": as_dicts(_suppressions(person), without=("person_hash",)),
            "budgets": as_dicts(_budgets(person)),
        }

    @transaction.atomic
    def erase(self, person: Person) -> Counts:
        """The hash was written before (`campaigns.people`): here goes what it replaces."""
        fences.suppressions_close()
        known = _suppressions(person).exclude(person_hash="")
        # An erasure writes one itself: where nothing else was held, nothing is erased.
        held = known.exclude(source=Suppression.Source.ERASURE).count()
        known.update(telegram_user_id=None, username="", reason="", resolved_by="")
        return {"suppressions": held, "budgets": Budget.objects.filter(pk__in=rows_lock(_budgets(person))).delete()[0]}


def about_erased(ids: Collection[int], names: Collection[str]) -> bool:
    """`messaging.persons.Guard`: whoever is known by id is judged by it."""
    return bool(erased(user_ids=ids).user_ids if ids else erased(user_ids=[], usernames=names).names)


def _suppressions(person: Person) -> QuerySet[Suppression]:
    who = Q(telegram_user_id__in=person.ids)
    for name in person.usernames:
        who |= named(name) & Q(telegram_user_id=None)
    return Suppression.objects.filter(who)


def _budgets(person: Person) -> QuerySet[Budget]:
    keys = [*person.usernames, *map(str, person.ids)]
    return Budget.objects.filter(scope=Budget.Scope.PEER, key__in=keys)
