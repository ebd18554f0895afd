"""The models that were renamed, and what processes of an older version recorded under their old names since then."""

from typing import NamedTuple

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.migrations.recorder import MigrationRecorder

from messaging.database.model_names import model_merge


class RenamedModel(NamedTuple):
    """`old` and `new` are the names in lower case."""

    app_label: str
    migration: str
    old: str
    new: str


RENAMED_MODELS = (
    RenamedModel("scripts", "0007_assignments_and_plays", "scriptforcampaign", "assignment"),
    RenamedModel("scripts", "0007_assignments_and_plays", "run", "play"),
    RenamedModel("bots", "0015_incidents", "trouble", "incident"),
)


def renamed_models_merge() -> list[RenamedModel]:
    """Move permissions and the panel's history from old names to the new ones. Returns the models that had any.

    Run it as often as you like. Models whose renaming is not applied to the database are left alone.
    """
    applied = MigrationRecorder(connection).applied_migrations()
    merged = [each for each in RENAMED_MODELS if (each.app_label, each.migration) in applied and _merge(each)]
    if merged:
        ContentType.objects.clear_cache()
    return merged


def _merge(renamed: RenamedModel) -> bool:
    words = apps.get_model(renamed.app_label, renamed.new)._meta.verbose_name_raw
    names = {"app_label": renamed.app_label, "old": renamed.old, "new": renamed.new, "words": words}
    return model_merge(apps, DEFAULT_DB_ALIAS, **names)
