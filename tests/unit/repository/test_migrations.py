"""Migrations of tables that may be large: nobody waits long for one."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader

# The first migration of each app after the last one that was released.
SINCE = {"bots": 11, "campaigns": 8, "leads": 7, "messaging": 7, "notifier": 4, "parser": 3, "scripts": 6}
# These never have more than some thousand rows: people enter them.
SMALL = {
    "campaigns.chat",
    "campaigns.campaign",
    "bots.bot",
    "notifier.channel",
    "notifier.rule",
    "leads.campaignmanager",
    "parser.keyword",
}
_CHECKED = (models.PositiveBigIntegerField, models.PositiveIntegerField, models.PositiveSmallIntegerField)
_LOCKING = (
    "writes to the table wait until all of its rows are read: use AddIndexConcurrently, or a unique index made "
    "CONCURRENTLY that the constraint then takes over"
)


def faults(migration: Any) -> Iterator[str]:
    """What is wrong with its operations on tables that were there before it."""
    made = {each.name_lower for each in migration.operations if isinstance(each, migrations.CreateModel)}
    for operation in migration.operations:
        model = getattr(operation, "model_name_lower", None) or getattr(operation, "hints", {}).get("model_name")
        if model in made or f"{migration.app_label}.{model}" in SMALL:
            continue
        if isinstance(operation, AddIndexConcurrently):
            continue
        if isinstance(operation, migrations.AddIndex | migrations.AddConstraint):
            yield _LOCKING
        if isinstance(operation, migrations.AddField | migrations.AlterField):
            yield from faults_of_field(operation.field, isinstance(operation, migrations.AddField))
        if isinstance(operation, migrations.RunSQL | migrations.RunPython) and migration.atomic:
            yield "rows are changed in one transaction: use migrating.in_batches in one that is not atomic"
        if isinstance(operation, migrations.RunSQL) and re.search(r"\bUPDATE\s+\S+\s+SET\b", str(operation.sql)):
            yield "all rows are changed by one statement: use migrating.in_batches"


def faults_of_field(field: Any, added: bool) -> Iterator[str]:
    if added and isinstance(field, models.GeneratedField):
        yield "a stored column that is computed rewrites the table: make an index on the expression"
    if added and isinstance(field, _CHECKED):
        yield "its CHECK reads all rows: take a type without one"
    if added and (field.unique or (field.db_index and not field.null)):
        yield _LOCKING


@pytest.mark.parametrize("app", SINCE)
def test_no_migration_since_the_last_release_keeps_a_large_table_locked(app: str):
    loader = MigrationLoader(None)
    ours = {name: migration for (label, name), migration in loader.disk_migrations.items() if label == app}
    fresh = {name: migration for name, migration in sorted(ours.items()) if int(name[:4]) >= SINCE[app]}
    assert {name: list(found) for name, migration in fresh.items() if (found := [*faults(migration)])} == {}
