"""Exports and erases a person's data in this room: suppressions, of which a hash stays, and budgets."""

from collections.abc import Collection

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from campaigns.identifiers import named
from campaigns.models import Budget, Suppression
from campaigns.policy import locks
from campaigns.suppressions.lookup import erased
from messaging.database.locks import rows_lock
from privacy.person import Person
from privacy.registry import Counts, PersonalData, Rows, as_dicts


class CampaignsPersonalData(PersonalData):
    name = "campaigns"
    models = ("campaigns.Suppression", "campaigns.Budget")

    def ids_met_as(self, username: str) -> set[int]:
        known = Suppression.objects.filter(named(username)).values_list("telegram_user_id", flat=True)
        return {user_id for user_id in known if user_id is not None}

    def usernames_of(self, telegram_user_id: int) -> set[str]:
        known = Suppression.objects.filter(telegram_user_id=telegram_user_id).exclude(username="")
        return set(known.values_list(Lower("username"), flat=True))

    def export(self, person: Person) -> Rows:
        return {
            "suppressions": as_dicts(_suppressions(person), without=("person_hash",)),
            "budgets": as_dicts(_budgets(person)),
        }

    @transaction.atomic
    def erase(self, person: Person) -> Counts:
        """Remove the ids, usernames and reasons that the hash replaces. `campaigns.erasing` has written the hash."""
        locks.suppressions_lock_exclusive()
        known = _suppressions(person).exclude(person_hash="")
        # A suppression that the erasure itself wrote does not count as erased.
        count = known.exclude(source=Suppression.Source.ERASURE).count()
        known.update(telegram_user_id=None, username="", reason="", resolved_by="")
        return {"suppressions": count, "budgets": Budget.objects.filter(pk__in=rows_lock(_budgets(person))).delete()[0]}


def about_erased(ids: Collection[int], names: Collection[str]) -> bool:
    """A `privacy.erased.Guard`: where an id is known, the id decides and not the username."""
    return bool(erased(user_ids=ids).user_ids if ids else erased(user_ids=[], usernames=names).names)


def _suppressions(person: Person) -> QuerySet[Suppression]:
    who = Q(telegram_user_id__in=person.ids)
    for name in person.usernames:
        who |= named(name) & Q(telegram_user_id=None)
    return Suppression.objects.filter(who)


def _budgets(person: Person) -> QuerySet[Budget]:
    keys = [*person.usernames, *map(str, person.ids)]
    return Budget.objects.filter(scope=Budget.Scope.PEER, key__in=keys)
