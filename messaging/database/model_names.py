"""A renamed model in the rows in which Django keeps names of models: content types and permissions.

The rows keep their ids, and with them the panel's history and the permissions of users and groups.
"""

from typing import Any

from django.db import transaction

ACTIONS = ("add", "change", "delete", "view")


def model_rename(apps: Any, using: str, *, app_label: str, old: str, new: str, words: str) -> None:
    """Rename the content type and the permissions of a model. The names are in lower case; `words` is the verbose name.

    `apps` is a registry of models (a migration's, or Django's own), `using` a database's alias. A second call changes
    nothing, unless a process of the other version has made its content type again.
    """
    types = apps.get_model("contenttypes", "ContentType").objects.using(using).filter(app_label=app_label)
    kept, other = types.filter(model=old).first(), types.filter(model=new).first()
    if kept is None:
        return
    if other is not None:
        _merge(apps, using, kept=kept, other=other, model=old)
    types.filter(pk=kept.pk).update(model=new)
    _rename_permissions(apps, using, kept, old=old, new=new, words=words)


def model_merge(apps: Any, using: str, *, app_label: str, old: str, new: str, words: str) -> bool:
    """Merge what processes of the old version recorded under the model's old name after it was renamed.

    Such a process makes its content type again, and records the panel's history there. The rows move to the content
    type of the new name, whose id does not change. Returns whether there was anything to merge.
    """
    with transaction.atomic(using=using):
        types = apps.get_model("contenttypes", "ContentType").objects.using(using).filter(app_label=app_label)
        found = {each.model: each for each in types.select_for_update().filter(model__in=[old, new]).order_by("pk")}
        if old not in found:
            return False
        if new not in found:
            model_rename(apps, using, app_label=app_label, old=old, new=new, words=words)
            return True
        _merge(apps, using, kept=found[new], other=found[old], model=new)
        _rename_permissions(apps, using, found[new], old=old, new=new, words=words)
        return True


def _rename_permissions(apps: Any, using: str, kind: Any, *, old: str, new: str, words: str) -> None:
    permissions = apps.get_model("auth", "Permission").objects.using(using).filter(content_type_id=kind.pk)
    for action in ACTIONS:
        named = permissions.filter(codename=f"{action}_{old}")
        named.update(codename=f"{action}_{new}", name=f"Can {action} {words}")


def _merge(apps: Any, using: str, *, kept: Any, other: Any, model: str) -> None:
    """Move every row of the content type `other` to `kept`, whose permissions end in `model`, and delete `other`."""
    entries = apps.get_model("admin", "LogEntry").objects.using(using)
    entries.filter(content_type_id=other.pk).update(content_type_id=kept.pk)
    permissions = apps.get_model("auth", "Permission").objects.using(using)
    for permission in permissions.filter(content_type_id=other.pk):
        codename = f"{permission.codename.split('_')[0]}_{model}"
        same = permissions.filter(content_type_id=kept.pk, codename=codename).first()
        if same is None:
            permissions.filter(pk=permission.pk).update(content_type_id=kept.pk)
            continue
        same.group_set.add(*permission.group_set.all())
        same.user_set.add(*permission.user_set.all())
        permission.delete()
    other.delete()
