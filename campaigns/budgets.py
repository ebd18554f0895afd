"""Sets budgets and resolves their keys: from an object's name or id to the id by which the gate counts.

Rooms register the models of their scopes here (`register_scope`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Model

from campaigns.identifiers import is_person_id
from campaigns.models import Budget, Campaign, Chat
from campaigns.policy import notices


@dataclass(frozen=True)
class KeyNames:
    """A scope's `model`, whose primary key is a UUID, and the `column` with the unique name of each row."""

    model: type[Model]
    column: str


_key_names: dict[str, KeyNames] = {
    Budget.Scope.CAMPAIGN: KeyNames(Campaign, "slug"),
    Budget.Scope.CHAT: KeyNames(Chat, "key"),
}


class UnknownKey(ValueError):
    """No object has this key. The message explains what to enter."""


def register_scope(scope: Budget.Scope, key_names: KeyNames) -> None:
    """Register the model of a scope, for rooms above this one. Call it from an app's `ready`."""
    _key_names[scope] = key_names


def key_resolve(*, scope: str, key: str) -> str:
    """The id by which the gate counts, from the object's name (slug, key) or the id itself.

    An empty key stays empty. Raises UnknownKey.
    """
    key = key.strip()
    if not key:
        return ""
    if scope == Budget.Scope.TEAM:
        raise UnknownKey("There is only one team: leave the key empty.")
    if scope == Budget.Scope.PEER:
        if not is_person_id(key):
            raise UnknownKey(
                "Enter the Telegram id of the person, a number: a username may later belong to another person."
            )
        return str(int(key))
    key_names = _key_names[scope]
    rows = key_names.model._default_manager
    row = rows.filter(pk=wanted) if (wanted := _uuid(key)) else rows.filter(**{key_names.column: key})
    pk = row.values_list("pk", flat=True).first()
    if pk is None:
        raise UnknownKey(f'There is no {_label(scope)} "{key[:64]}": enter its {key_names.column} or its id.')
    return str(pk)


def budget_names(budgets: Iterable[Budget]) -> dict[tuple[str, str], str]:
    """(scope, key) → the object's name, or a remark that there is no such object: then the budget counts nothing.

    Makes one query per scope.
    """
    budgets = list(budgets)
    found = {
        (budget.scope, budget.key): f"{budget.key}: there is no such {_label(budget.scope)}"
        for budget in budgets
        if _may_be_missing(budget)
    }
    for scope, key_names in _key_names.items():
        keys = {key_id for budget in budgets if budget.scope == scope and (key_id := _uuid(budget.key))}
        if keys:
            rows = key_names.model._default_manager.filter(pk__in=keys).values_list("pk", key_names.column)
            found |= {(scope, str(pk)): str(name) for pk, name in rows}
    return found


def _label(scope: str) -> str:
    return str(Budget.Scope(scope).label).lower()


def _may_be_missing(budget: Budget) -> bool:
    """Whether the budget's object may not exist: rows may be older than the form's checks or outlive the object."""
    if budget.scope == Budget.Scope.PEER:
        return bool(budget.key) and not is_person_id(budget.key)
    return bool(budget.key) and budget.scope in _key_names


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


@transaction.atomic
def budget_set(
    *,
    scope: Budget.Scope,
    limit: int,
    window_seconds: int,
    key: str = "",
    purpose: str = "",
    counts: Budget.Counts = Budget.Counts.MESSAGES,
) -> Budget:
    budget, _ = Budget.objects.update_or_create(
        scope=scope, key=key, purpose=purpose, counts=counts, window_seconds=window_seconds, defaults={"limit": limit}
    )
    notices.rules_changed()
    return budget
