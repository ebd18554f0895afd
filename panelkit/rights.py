"""Permission checks that pages, the API and services share."""

from collections.abc import Iterable
from typing import Protocol

from django.apps import apps
from django.core.exceptions import PermissionDenied


class PermissionHolder(Protocol):
    """The object whose permissions are checked: a user, or `Shell`."""

    def has_perm(self, perm: str) -> bool: ...


class Shell:
    """A user of the command line, who has all permissions: they can read and change the database directly."""

    def has_perm(self, perm: str) -> bool:
        return True


def may_view(holder: PermissionHolder, model: str) -> bool:
    """Whether the user may view the model, whose label is `model` ("scripts.Play").

    As in Django's admin, the permission to change includes viewing.
    """
    app_label, name = model.lower().split(".")
    return holder.has_perm(f"{app_label}.view_{name}") or holder.has_perm(f"{app_label}.change_{name}")


def require(holder: PermissionHolder, right: str) -> None:
    """Raises PermissionDenied if the permission `right` is missing."""
    if not holder.has_perm(right):
        raise PermissionDenied(f"You need the permission {right}.")


def require_view(holder: PermissionHolder, models: Iterable[str]) -> None:
    """Raises PermissionDenied, with the names of the missing models, unless the user may view all these models."""
    missing = sorted(
        str(apps.get_model(model)._meta.verbose_name_plural) for model in models if not may_view(holder, model)
    )
    if missing:
        raise PermissionDenied(f"You need the permission to view {', '.join(missing)}.")
