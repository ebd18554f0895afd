"""A process of an older version that outlives the renaming of a model: what it records under the old name is merged."""

from io import StringIO

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.urls import reverse

from coolthing_site.renamed_models import RENAMED_MODELS, RenamedModel
from tests.integration.script_world import make_assignment
from tests.support import ROOT

ACTIONS = ("add", "change", "delete", "view")
pytestmark = pytest.mark.django_db


@pytest.fixture(params=RENAMED_MODELS, ids=[each.new for each in RENAMED_MODELS])
def renamed(request: pytest.FixtureRequest) -> RenamedModel:
    found: RenamedModel = request.param
    return found


@pytest.fixture
def olga() -> User:
    return User.objects.create_user("olga", is_staff=True)


@pytest.fixture
def writers(olga: User) -> Group:
    group = Group.objects.create(name="writers")
    olga.groups.add(group)
    return group


@pytest.fixture
def kept(renamed: RenamedModel) -> ContentType:
    return ContentType.objects.get(app_label=renamed.app_label, model=renamed.new)


def _old_type(renamed: RenamedModel) -> ContentType:
    """The old version makes it when it first asks for the content type of its model."""
    return ContentType.objects.create(app_label=renamed.app_label, model=renamed.old)


def _old_permissions(renamed: RenamedModel, old: ContentType) -> None:
    """The old version makes them when it migrates."""
    for action in ACTIONS:
        Permission.objects.create(content_type=old, codename=f"{action}_{renamed.old}", name=f"Can {action} old words")


def _permission(kind: ContentType, action: str) -> Permission:
    return Permission.objects.get(content_type=kind, codename=f"{action}_{kind.model}")


def _log(kind: ContentType, user: User, message: str, row_id: object = "row") -> None:
    row = {"object_id": str(row_id), "object_repr": "row", "action_flag": CHANGE}
    LogEntry.objects.create(user=user, content_type=kind, change_message=message, **row)


def _merge() -> str:
    output = StringIO()
    call_command("merge_renamed_models", stdout=output)
    return output.getvalue()


def _history(kind: ContentType) -> list[str]:
    return list(LogEntry.objects.filter(content_type=kind).order_by("pk").values_list("change_message", flat=True))


def test_history_and_permissions_of_the_old_name_move_to_the_new_one(
    renamed: RenamedModel, kept: ContentType, olga: User, writers: Group
) -> None:
    _log(kept, olga, "by the new version")
    writers.permissions.add(_permission(kept, "view"))
    names = dict(Permission.objects.filter(content_type=kept).values_list("codename", "name"))
    old = _old_type(renamed)
    _old_permissions(renamed, old)
    _log(old, olga, "by the old version")
    olga.user_permissions.add(_permission(old, "view"), _permission(old, "delete"))
    writers.permissions.add(_permission(old, "change"))

    assert _merge() == f"{renamed.app_label}: merged {renamed.old} into {renamed.new}\n"
    assert ContentType.objects.get(app_label=renamed.app_label, model=renamed.new) == kept
    assert not ContentType.objects.filter(app_label=renamed.app_label, model=renamed.old).exists()
    assert _history(kept) == ["by the new version", "by the old version"]
    assert dict(Permission.objects.filter(content_type=kept).values_list("codename", "name")) == names
    assert set(writers.permissions.all()) == {_permission(kept, "view"), _permission(kept, "change")}
    assert set(olga.user_permissions.all()) == {_permission(kept, "view"), _permission(kept, "delete")}


def test_a_second_run_changes_nothing_and_a_later_one_merges_what_came_since(
    renamed: RenamedModel, kept: ContentType, olga: User
) -> None:
    _log(_old_type(renamed), olga, "first")
    assert _merge() and not _merge()
    assert _history(kept) == ["first"]
    _log(_old_type(renamed), olga, "second")
    assert _merge() and not _merge()
    assert _history(kept) == ["first", "second"]
    assert Permission.objects.filter(content_type=kept).count() == len(ACTIONS)


def test_the_only_content_type_of_the_model_takes_its_new_name(
    renamed: RenamedModel, kept: ContentType, olga: User
) -> None:
    kept.delete()
    old = _old_type(renamed)
    _old_permissions(renamed, old)
    _log(old, olga, "by the old version")
    assert _merge() and not _merge()
    old.refresh_from_db()
    assert (old.model, _history(old)) == (renamed.new, ["by the old version"])
    codenames = Permission.objects.filter(content_type=old).values_list("codename", flat=True)
    assert sorted(codenames) == [f"{action}_{renamed.new}" for action in ACTIONS]


def test_before_the_renaming_nothing_is_merged(renamed: RenamedModel, kept: ContentType, olga: User) -> None:
    """The database has been migrated back: the old name is the right one."""
    MigrationRecorder(connection).record_unapplied(renamed.app_label, renamed.migration)
    old = _old_type(renamed)
    _log(old, olga, "by the old version")
    assert not _merge()
    assert (_history(old), _history(kept)) == (["by the old version"], [])


def test_the_panel_shows_the_merged_history(admin_client: Client, admin_user: User) -> None:
    assignment = make_assignment(chats=0)
    old = ContentType.objects.create(app_label="scripts", model="scriptforcampaign")
    _log(old, admin_user, "done in the old panel", assignment.pk)
    address = reverse("admin:scripts_assignment_history", args=[assignment.pk])
    assert "done in the old panel" not in admin_client.get(address).content.decode()
    _merge()
    assert "done in the old panel" in admin_client.get(address).content.decode()


def test_every_migration_that_renames_a_model_is_in_the_list() -> None:
    renaming = {
        (path.parts[-3], path.stem)
        for path in ROOT.glob("*/migrations/[0-9]*.py")
        if "model_rename(" in path.read_text()
    }
    assert renaming == {(each.app_label, each.migration) for each in RENAMED_MODELS}


def test_nothing_else_refers_to_content_types() -> None:
    """What does has to be moved, too."""
    referring = {each.related_model for each in ContentType._meta.related_objects}
    assert referring == {LogEntry, Permission}
