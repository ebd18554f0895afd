"""Permission checks that pages, the API and services share."""

from collections.abc import Iterable
from typing import Protocol

from django.apps import apps
from django.core.exceptions import PermissionDenied


class Asking(Protocol):
    """The one whose permissions count: a user, or `Shell`."""

    def has_perm(self, perm: str) -> bool: ...


class Shell:
    """A user of the command line can read and change the database anyway."""

    def has_perm(self, perm: str) -> bool:
        return True


def may_view(asking: Asking, model: str) -> bool:
    """As in Django's admin: the permission to change includes viewing. `model` is a label: "scripts.Play"."""
    app_label, name = model.lower().split(".")
    return asking.has_perm(f"{app_label}.view_{name}") or asking.has_perm(f"{app_label}.change_{name}")


def require(asking: Asking, right: str) -> None:
    """Raises PermissionDenied."""
    if not asking.has_perm(right):
        raise PermissionDenied(f"This needs the permission {right}.")


def require_view(asking: Asking, models: Iterable[str]) -> None:
    """All of them. Raises PermissionDenied, which names what is missing."""
    missing = sorted(
        str(apps.get_model(model)._meta.verbose_name_plural) for model in models if not may_view(asking, model)
    )
    if missing:
        raise PermissionDenied(f"This needs the permission to view {', '.join(missing)}.")
