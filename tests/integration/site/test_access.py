"""Each address of the site, for each kind of visitor and each method: what the table in `access` says.

The addresses come from the URL map: one without a row fails. The permissions of "exact" visitors are those of the row
and no other. What is refused has written nothing; what is allowed is not carried out, or rolled back.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth import middleware
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.http import HttpRequest
from django.template.response import SimpleTemplateResponse
from django.urls import URLPattern, URLResolver, get_resolver, reverse

import coolthing_site.urls  # noqa: F401  It registers the pages.
from campaigns.models import EvidenceFile
from coolthing_site.web import error_pages
from panelkit.operation_pages import OperatingAdmin
from tests.integration.site.access import ACTIONS, MODELS, ONE_BY_ONE, OTHERS, Row
from tests.integration.site.site_visits import LOGIN, OK, Site, answered, build_site, row_of

pytestmark = pytest.mark.django_db
METHODS = ("get", "post", "head", "put", "patch", "delete")
VISITORS = ("anonymous", "outsider", "nobody", "viewer", "exact", "superuser")
# Addresses that only lead on: Django's old ones of change pages, and what is no page.
LEADING_ON = re.compile(r"admin/(\w+/\w+/<path:object_id>/|\(\?P<url>\.\*\)\$)")


@pytest.fixture(scope="module")
def site(django_db_setup: None, django_db_blocker: Any) -> Iterator[Site]:
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch, transaction.atomic():
        found = build_site()
        patch.setattr(middleware, "get_user", lambda _request: found.user())
        patch.setattr(settings, "METRICS_TOKEN", "")
        patch.setattr(settings, "SESSION_ENGINE", "django.contrib.sessions.backends.signed_cookies")
        # What a page looks like is no question here, nor is what is logged of some thousand refusals.
        patch.setattr(SimpleTemplateResponse, "rendered_content", "")
        patch.setattr(type(admin.site), "each_context", lambda *_: {})
        patch.setattr(error_pages, "render_to_string", lambda *_: "")
        patch.setattr(logging.getLogger("django.request"), "disabled", True)
        yield found
        transaction.set_rollback(True)


# What the table says.


@dataclass(frozen=True)
class Pages:
    """A line of MODELS: the permission behind each page that does something, and behind each operation."""

    forms: dict[str, str]
    operations: dict[str, str]


def parsed() -> dict[str, Pages]:
    found = {}
    for line in MODELS.strip().replace(":\n", ":").splitlines():
        label, *words = line.split()
        app, model = label.split(".")
        at = words.index(":") if ":" in words else len(words)
        forms = {}
        for word in words[:at]:
            right, *more = word.split("+")
            forms[right] = " & ".join([f"{app}.{right}_{model}", *more])
        operations = dict(word.partition("=")[::2] for word in words[at + 1 :])
        changes = f"{app}.change_{model}"
        found[label] = Pages(
            forms, {name: f"{own} & {app}.view_{model}" if own else changes for name, own in operations.items()}
        )
    return found


PAGES = parsed()


def has(rights: set[str], right: str) -> bool:
    return right in rights or (".view_" in right and right.replace(".view_", ".change_") in rights)


def needed(rule: str) -> set[str]:
    """Enough for it, and no more."""
    if "." not in rule:
        return set()
    return set(rule.split(" | ")[0].split(" & "))


def expected(visitor: str, rule: str, row: Row | None = None) -> str:
    if row is not None and row.api:
        if visitor == "anonymous":
            return "401"
        if rule == "405":
            # Users without the permission do not learn which methods exist.
            return "405" if expected(visitor, row.get, row) == OK else row.refused
    if rule == "anyone":
        return OK
    if rule == "token":
        return "404"
    if visitor in ("anonymous", "outsider") and (row is None or row.is_page):
        # Who is not in is sent from there to the overview, and from that to the login.
        return OK if row is not None and row.name == "admin:logout" else LOGIN
    if rule in ("405", "404"):
        return rule
    if rule == "staff":
        return OK
    refused = row.refused if row is not None else "403"
    if rule == "never":
        return "403"
    if visitor == "superuser":
        return OK
    rights = {"viewer": _all_views(), "exact": needed(rule)}.get(visitor, set())
    allowed = any(all(has(rights, right) for right in each.split(" & ")) for each in rule.split(" | "))
    return OK if allowed else refused


def _all_views() -> set[str]:
    return {f"{model._meta.app_label}.view_{model._meta.model_name}" for model in admin.site._registry} | {
        "admin.view_logentry"
    }


# What the site answers.


def check(site: Site, url: str, get: str, post: str = "", row: Row | None = None, data: Any = None) -> list[str]:
    """Where the site answers otherwise than the table says."""
    wrong = []
    for method, rule in (("get", get), ("post", post)) if post else (("get", get),):
        site.grant(needed(get if row is not None and row.api else rule))
        for visitor in VISITORS:
            given, written = answered(site, visitor, method, url, data=data if method == "post" else None)
            wanted = expected(visitor, rule, row)
            if given != wanted:
                wrong.append(f"{method} {url} by {visitor}: {given}, not {wanted} ({rule})")
            if (wanted != OK or (method == "get" and row is None)) and written:
                wrong.append(f"{method} {url} by {visitor} writes: {written[0][:80]}")
    return wrong


def names() -> dict[str, str]:
    """Of all addresses, as name → pattern."""

    def walk(resolver: Any, prefix: str, space: str) -> Iterator[tuple[str, str]]:
        for entry in resolver.url_patterns:
            pattern = prefix + str(entry.pattern)
            if isinstance(entry, URLResolver):
                yield from walk(entry, pattern, f"{entry.namespace}:" if entry.namespace else space)
            else:
                assert isinstance(entry, URLPattern)
                yield (space + entry.name if entry.name else f"/{pattern}"), pattern

    return dict(walk(get_resolver(), "", ""))


STANDARD = ("changelist", "add", "history", "delete", "change", "live", "operate")


def test_each_address_has_a_row() -> None:
    known = {f"admin:{label.replace('.', '_')}_{page}" for label in PAGES for page in STANDARD}
    known |= {row.name for row in OTHERS}
    unknown = {name for name, pattern in names().items() if name not in known and not LEADING_ON.fullmatch(pattern)}
    assert unknown == set(), "write into tests/integration/site/access.py what they need"
    assert known - names().keys() == set(), "they are gone"


def test_each_operation_and_each_action_of_a_list_has_a_row(site: Site) -> None:
    request = HttpRequest()
    request.user = site.world.operator
    for model, page in admin.site._registry.items():
        label = model._meta.label_lower
        assert {operation.name for operation in getattr(page, "operations", ())} == PAGES[label].operations.keys(), (
            label
        )
        others = page.get_actions(request).keys() - {f"do_{name}" for name in PAGES[label].operations}
        assert others - {"delete_selected"} == ACTIONS.get(label, {}).keys(), label


@pytest.mark.parametrize("label", PAGES)
def test_the_pages_of_a_model(label: str, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OperatingAdmin, "_operate", lambda *_: [])
    row, forms = row_of(site, label), PAGES[label].forms
    base, view = f"admin:{label.replace('.', '_')}", f"{label.replace('.', '.view_')}"
    delete, change = forms.get("delete", "never"), forms.get("change", "never")
    where = {page: reverse(f"{base}_{page}", args=[quote(row.pk)]) for page in ("history", "delete", "change", "live")}
    wrong = [
        *check(site, reverse(f"{base}_changelist"), view, view),
        *check(site, reverse(f"{base}_add"), forms.get("add", "never"), forms.get("add", "never")),
        *check(site, where["history"], view),
        *check(site, where["live"], view),
        *check(site, where["delete"], delete, delete, data={"post": "yes"}),
        *check(site, where["change"], view, change),
    ]
    for name, right in PAGES[label].operations.items():
        wrong += check(site, reverse(f"{base}_operate", args=[quote(row.pk), name]), right, right)
    assert wrong == []


@pytest.mark.parametrize("label", PAGES)
def test_the_actions_of_a_list(label: str, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A visitor is offered those that they may carry out, and no other is carried out for them."""
    row, forms = row_of(site, label), PAGES[label].forms
    page = admin.site.get_model_admin(type(row))
    rules = {f"do_{name}": right for name, right in PAGES[label].operations.items()} | ACTIONS.get(label, {})
    if "delete" in forms and label not in ONE_BY_ONE:
        rules["delete_selected"] = forms["delete"].split(" & ")[0]
    request = HttpRequest()
    for visitor in ("viewer", "exact"):
        for name, rule in rules.items():
            site.grant(needed(rule))
            request.user = site.users[visitor]
            offered = name in page.get_actions(request) or (name.startswith("do_") and name not in _bulk(page))
            assert (visitor == "exact") <= offered, (label, name, visitor)
            assert (visitor == "viewer") <= (name not in page.get_actions(request)), (label, name, visitor)
    for name in rules:
        url = reverse(f"admin:{label.replace('.', '_')}_changelist")
        data = {"action": name, "_selected_action": str(row.pk), "_confirmed": "1", "post": "yes"}
        assert answered(site, "viewer", "post", url, data=data)[1] == [], (label, name)


def _bulk(page: Any) -> set[str]:
    return {f"do_{operation.name}" for operation in getattr(page, "operations", ()) if operation.bulk}


def address(site: Site, name: str) -> str:
    world = site.world
    arguments: dict[str, list[Any]] = {
        "assignment-progress": [world.assignment.pk],
        "moved-assignment": [f"{world.assignment.pk}/change/"],
        "moved-play": [""],
        "moved-incident": [""],
        "sfc-progress": [world.assignment.pk],
        "queue-pause": ["leads_queue"],
        "queue-resume": ["leads_queue"],
        "service-pause": ["scripts"],
        "service-resume": ["scripts"],
        "trace": [uuid4()],
        "admin:view_on_site": [ContentType.objects.get_for_model(User).pk, world.operator.pk],
        "admin:app_list": ["bots"],
        "admin:auth_user_password_change": [world.colleague.pk],
        "admin:bots_bot_login": [world.manager.pk],
        "admin:bots_bot_login_progress": [world.manager.pk],
        "admin:bots_delivery_preview_queued": [row_of(site, "bots.delivery").pk],
        "admin:campaigns_evidencefile_download": [EvidenceFile.objects.values_list("pk", flat=True)[0]],
        "admin:leads_lead_person": [world.new_lead.pk],
        "admin:leads_conversation_person": [world.conversation.pk],
        "admin:leads_conversation_reply": [world.conversation.pk],
        "admin:messaging_deadletter_edit": [world.letter.pk],
        "admin:messaging_deadletter_body": [world.letter.pk],
    }
    of_lab = [world.campaign.pk] if name.startswith("admin:parser_keyword_lab") else None
    url = "/" if name == "/" else reverse(name, args=arguments.get(name, of_lab))
    if name == "admin:autocomplete":
        return f"{url}?app_label=scripts&model_name=casting&field_name=bot&term="
    return url


@pytest.mark.parametrize("row", OTHERS, ids=lambda row: row.name)
def test_every_other_address(row: Row, site: Site) -> None:
    data = {"do": "cancel"} if row.name == "admin:bots_bot_login" else None
    assert check(site, address(site, row.name), row.get, row.post, row, data=data) == []


@pytest.mark.parametrize(
    "name", ["sfc-progress", "queue-resume", "admin:bots_delivery_cancel", "admin:leads_lead_person"]
)
def test_no_other_method_does_more_than_it_should(name: str, site: Site) -> None:
    row = next(other for other in OTHERS if other.name == name)
    site.grant(needed(row.post))
    for method in METHODS[2:]:
        for visitor in VISITORS:
            given, written = answered(site, visitor, method, address(site, name))
            refused = expected(visitor, row.get, row) != OK
            assert written == [], (method, visitor)
            assert not refused or given != OK, (method, visitor, given)


def test_whoever_may_change_logins_does_not_get_further_permissions_by_that(site: Site) -> None:
    """A superuser's page is for superusers, and only they give permissions."""
    site.grant({"auth.change_user", "auth.delete_user", "auth.change_group"})
    pages = [("auth_user_change", {"username": "operator"}), ("auth_user_delete", {"post": "yes"})]
    pages += [("auth_user_password_change", {"password1": "another long one", "password2": "another long one"})]
    for page, data in pages:
        url = reverse(f"admin:{page}", args=[site.world.operator.pk])
        assert answered(site, "exact", "post", url, data=data) == ("403", []), page
    given = {"is_superuser", "groups", "user_permissions", "permissions"}
    for row in (site.world.colleague, Group.objects.get()):
        for visitor, offered in (("exact", False), ("superuser", True)):
            request = HttpRequest()
            request.user = site.users[visitor]
            form = admin.site.get_model_admin(type(row)).get_form(request, row, change=True)
            assert bool(form.base_fields.keys() & given) == offered, (row, visitor)


def test_a_token_opens_what_its_owner_may_see_and_a_session_the_same(site: Site) -> None:
    url = address(site, "sfc-progress")
    right = Permission.objects.filter(codename="view_assignment")
    site.users["exact"].user_permissions.set(right)
    site.grant({"scripts.view_assignment"})
    for visitor, wanted in (("outsider", "403"), ("nobody", "403"), ("viewer", OK), ("exact", OK), ("superuser", OK)):
        for token in (True, False):
            assert answered(site, visitor, "get", url, token=token)[0] == wanted, (visitor, token)
