"""A renamed model in the rows in which Django keeps names of models: content types and permissions.

The rows keep their ids, and with them the panel's history and the permissions of users and groups.
"""

from typing import Any

ACTIONS = ("add", "change", "delete", "view")


def model_rename(apps: Any, using: str, *, app_label: str, old: str, new: str, words: str) -> None:
    """Rename the content type and the permissions of a model. The names are in lower case; `words` is the verbose name.

    `apps` is a registry of models (a migration's, or Django's own), `using` a database's alias. A second call changes
    nothing, unless a process of the other version has made its content type again.
    """
    types = apps.get_model("contenttypes", "ContentType").objects.using(using).filter(app_label=app_label)
    permissions = apps.get_model("auth", "Permission").objects.using(using)
    kept, other = types.filter(model=old).first(), types.filter(model=new).first()
    if kept is None:
        return
    if other is not None:
        _merge(apps, using, kept, other, old)
    types.filter(pk=kept.pk).update(model=new)
    for action in ACTIONS:
        named = permissions.filter(content_type_id=kept.pk, codename=f"{action}_{old}")
        named.update(codename=f"{action}_{new}", name=f"Can {action} {words}")


def _merge(apps: Any, using: str, kept: Any, other: Any, old: str) -> None:
    """Code of the other version has already made its content type: keep the older one, and move every row to it."""
    entries = apps.get_model("admin", "LogEntry").objects.using(using)
    entries.filter(content_type_id=other.pk).update(content_type_id=kept.pk)
    permissions = apps.get_model("auth", "Permission").objects.using(using)
    for permission in permissions.filter(content_type_id=other.pk):
        codename = f"{permission.codename.split('_')[0]}_{old}"
        older = permissions.filter(content_type_id=kept.pk, codename=codename).first()
        if older is None:
            permissions.filter(pk=permission.pk).update(content_type_id=kept.pk)
            continue
        older.group_set.add(*permission.group_set.all())
        older.user_set.add(*permission.user_set.all())
        permission.delete()
    other.delete()
