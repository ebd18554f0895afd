"""Assignments and plays keep rights and history of the time before their names, on the way there and back; the panel's
old addresses lead to the new ones."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from bots.models import Incident
from scripts import services
from scripts.models import Assignment, Play
from tests.integration.script_world import make_assignment

BEFORE, AFTER = ("scripts", "0006_newest_first"), ("scripts", "0007_assignments_and_plays")
INCIDENTS = ("bots", "0015_incidents")
NAMES = (
    ("scripts/scriptforcampaign", "scripts/assignment"),
    ("scripts/run", "scripts/play"),
    ("bots/trouble", "bots/incident"),
)
ACTIONS = {"add", "change", "delete", "view"}
pytestmark = pytest.mark.django_db


def _migrate(target: tuple[str, str]) -> Any:
    """To that migration; the models as they are then."""
    MigrationExecutor(connection).migrate([target])
    ContentType.objects.clear_cache()
    return MigrationExecutor(connection).loader.project_state([target]).apps


def _unapply(migration: tuple[str, str]) -> Any:
    """Undo one migration that touches no table, and none that came after it; the models as they were before."""
    loader = MigrationExecutor(connection).loader
    before = loader.project_state([migration], at_end=False)
    with connection.schema_editor(atomic=True) as editor:
        loader.get_migration(*migration).unapply(before.clone(), editor)
    ContentType.objects.clear_cache()
    return before.apps


def _apply(migration: tuple[str, str]) -> None:
    loader = MigrationExecutor(connection).loader
    with connection.schema_editor(atomic=True) as editor:
        loader.get_migration(*migration).apply(loader.project_state([migration], at_end=False), editor)
    ContentType.objects.clear_cache()


@pytest.fixture(autouse=True)
def types_found_anew() -> Iterator[None]:
    yield
    ContentType.objects.clear_cache()


@pytest.fixture
def olga() -> User:
    return User.objects.create_user("olga", is_staff=True)


@pytest.fixture
def writers(olga: User) -> Group:
    group = Group.objects.create(name="writers")
    olga.groups.add(group)
    return group


def _grant(codename: str, *, group: Group | None = None, user: User | None = None, app: str = "scripts") -> None:
    right = Permission.objects.get(content_type__app_label=app, codename=codename)
    if group is not None:
        group.permissions.add(right)
    if user is not None:
        user.user_permissions.add(right)


def _rights(user: User) -> set[str]:
    return User.objects.get(pk=user.pk).get_all_permissions()


def _log(kind: ContentType, row: Any, user: User, message: str) -> None:
    row = {"object_id": str(row.pk), "object_repr": "row", "action_flag": CHANGE}
    LogEntry.objects.create(user=user, content_type=kind, change_message=message, **row)


def test_rows_rights_and_history_are_the_same_before_and_after(olga: User, writers: Group) -> None:
    assignment = make_assignment(chats=1)
    services.assignment_activate(assignment_id=assignment.pk)
    services.assignment_prepare(assignment_id=str(assignment.pk))
    play = Play.objects.get()
    _grant("change_assignment", group=writers)
    _grant("view_play", user=olga)
    rights = _rights(olga)
    _log(ContentType.objects.get_for_model(Assignment), assignment, olga, "activated")
    types = dict(ContentType.objects.filter(app_label="scripts").values_list("model", "pk"))

    old = _migrate(BEFORE)
    assert old.get_model("scripts", "Run").objects.get(sfc_id=assignment.pk).pk == play.pk
    assert old.get_model("scripts", "Step").objects.filter(run__sfc__campaign=assignment.campaign_id).count() == 3
    assert _rights(olga) == {"scripts.change_scriptforcampaign", "scripts.view_run"}
    named = Permission.objects.filter(content_type__app_label="scripts").values_list("codename", "name")
    assert ("view_scriptforcampaign", "Can view script for campaign") in named and ("add_run", "Can add run") in named

    _migrate(AFTER)
    assert dict(ContentType.objects.filter(app_label="scripts").values_list("model", "pk")) == types
    assert _rights(olga) == rights == {"scripts.change_assignment", "scripts.view_play"}
    assert ("view_assignment", "Can view assignment") in named.all() and ("add_play", "Can add play") in named.all()
    history = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(Assignment))
    assert [(entry.object_id, entry.change_message) for entry in history] == [(str(assignment.pk), "activated")]


def test_what_newer_code_made_before_the_migration_becomes_one_with_the_old(olga: User, writers: Group) -> None:
    _migrate(BEFORE)
    assignment = make_assignment(chats=0)
    kept = ContentType.objects.get(app_label="scripts", model="scriptforcampaign")
    _log(kept, assignment, olga, "before")
    _grant("view_scriptforcampaign", group=writers)
    made = ContentType.objects.create(app_label="scripts", model="assignment")
    for action in sorted(ACTIONS):
        Permission.objects.create(content_type=made, codename=f"{action}_assignment", name="made early")
    _log(made, assignment, olga, "between")
    _grant("view_assignment", user=olga)
    _grant("delete_assignment", user=olga)

    _migrate(AFTER)
    assert ContentType.objects.get_for_model(Assignment).pk == kept.pk
    assert not ContentType.objects.filter(pk=made.pk).exists()
    found = LogEntry.objects.filter(content_type=kept).order_by("pk").values_list("change_message", flat=True)
    assert list(found) == ["before", "between"]
    codenames = Permission.objects.filter(content_type=kept).values_list("codename", flat=True)
    assert sorted(codenames) == [f"{action}_assignment" for action in sorted(ACTIONS)]
    assert _rights(olga) == {"scripts.view_assignment", "scripts.delete_assignment"}
    assert list(writers.permissions.values_list("codename", flat=True)) == ["view_assignment"]


def test_incidents_keep_their_rows_rights_and_history(olga: User, writers: Group) -> None:
    incident = Incident.objects.create(key="session:1", reason="it broke")
    _grant("view_incident", group=writers, app="bots")
    _log(ContentType.objects.get_for_model(Incident), incident, olga, "read")

    assert _unapply(INCIDENTS).get_model("bots", "Trouble").objects.get().reason == "it broke"
    assert _rights(olga) == {"bots.view_trouble"}
    _apply(INCIDENTS)
    assert _rights(olga) == {"bots.view_incident"}
    assert Permission.objects.filter(codename__endswith="_incident").count() == len(ACTIONS)
    history = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(Incident))
    assert [entry.change_message for entry in history] == ["read"]


def _there_and_back() -> None:
    _migrate(BEFORE)
    _migrate(AFTER)


def _incidents_there_and_back() -> None:
    _unapply(INCIDENTS)
    _apply(INCIDENTS)


@pytest.mark.parametrize("move", [_there_and_back, _incidents_there_and_back], ids=["scripts", "bots"])
def test_no_table_is_touched(move: Callable[[], None]) -> None:
    """The code before and after works on one database."""
    with CaptureQueriesContext(connection) as executed:
        move()
    written = {query["sql"].split()[0] for query in executed.captured_queries}
    assert "UPDATE" in written and written.isdisjoint({"ALTER", "CREATE", "DROP", "COMMENT"})


@pytest.mark.parametrize(("old", "new"), NAMES)
@pytest.mark.parametrize(
    ("rest", "now"),
    [
        ("", ""),
        ("?state__exact=failed&o=-1", "?state__exact=failed&o=-1"),
        ("?sfc__id__exact=1&q=a%26b", "?assignment__id__exact=1&q=a%26b"),
        ("7a1c0c5e-1111-4c7b-9f5e-0d2f6a9b0001/change/", "7a1c0c5e-1111-4c7b-9f5e-0d2f6a9b0001/change/"),
        ("7/change/?_changelist_filters=run__id%3D1%26q%3D2", "7/change/?_changelist_filters=play__id%3D1%26q%3D2"),
        ("x%3Fy/do/pause/?next=1", "x%3Fy/do/pause/?next=1"),
    ],
)
def test_an_old_address_of_the_panel_leads_to_the_new_one(
    admin_client: Client, old: str, new: str, rest: str, now: str
) -> None:
    answer = admin_client.get(f"/admin/{old}/{rest}")
    assert (answer.status_code, answer["Location"]) == (301, f"/admin/{new}/{now}")


@pytest.mark.parametrize(("old", "new"), NAMES)
def test_an_old_address_requires_the_login_first(client: Client, old: str, new: str) -> None:
    address = f"/admin/{old}/?state__exact=failed"
    assert client.get(address)["Location"].startswith(reverse("admin:login"))


def test_an_old_page_opens(admin_client: Client) -> None:
    assignment = make_assignment(chats=0)
    answer = admin_client.get(f"/admin/scripts/scriptforcampaign/{assignment.pk}/change/", follow=True)
    assert answer.status_code == 200
    assert answer.redirect_chain == [(reverse("admin:scripts_assignment_change", args=[assignment.pk]), 301)]


def test_a_form_of_an_old_page_is_sent_on(admin_client: Client) -> None:
    """An operator who has had the page open since before the upgrade stops the script with it."""
    assignment = services.assignment_activate(assignment_id=make_assignment().pk)
    answer = admin_client.post(f"/admin/scripts/scriptforcampaign/{assignment.pk}/do/stop/", {"_confirmed": "1"})
    there = f"/admin/scripts/assignment/{assignment.pk}/do/stop/"
    assert (answer.status_code, answer["Location"]) == (308, there)
    admin_client.post(there, {"_confirmed": "1"})
    assignment.refresh_from_db()
    assert assignment.state == "stopped"
