"""The site with a row for each address, and its visitors, each as if logged in."""

import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.db import connection, transaction
from django.test import Client

from campaigns.models import Suppression
from coolthing_site.api.tokens import token_issue
from scripts.models import Assignment, Casting, Script, Slot, Target
from tests.browser.world import build_world

LOGIN, OK = "login", "ok"
WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b", re.I)
# A token's last use, the counters of requests, and the rows that a login itself writes.
UNCOUNTED = ("coolthing_site_apitoken", "coolthing_site_requestcount", "django_session")


@dataclass
class Site:
    """The rows that the addresses are about, and the visitors. `exact` has the permissions of the row at hand."""

    world: SimpleNamespace
    users: dict[str, User]
    keys: dict[str, str]
    client: Client
    now: str = "anonymous"

    def grant(self, rights: set[str]) -> None:
        _know(self.users["exact"], rights)

    def user(self) -> Any:
        """As Django's middleware finds it out from the session: each time anew, with two queries more."""
        return self.users.get(self.now, AnonymousUser())


def build_site() -> Site:
    world = build_world()
    users = {
        "outsider": User.objects.create(username="outsider"),
        "nobody": User.objects.create(username="nobody", is_staff=True),
        "viewer": User.objects.create(username="viewer", is_staff=True),
        "exact": User.objects.create(username="exact", is_staff=True),
        "superuser": world.operator,
    }
    users["viewer"].user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    for name in ("outsider", "nobody", "viewer"):
        _know(users[name], users[name].get_all_permissions())
    keys = {name: token_issue(user=user, name="access")[1] for name, user in users.items()}
    _deletable(world)
    return Site(world, users, keys, Client())


def _know(user: Any, rights: set[str]) -> None:
    """As Django's backend remembers them once it has read them."""
    user._perm_cache = user._user_perm_cache = user._group_perm_cache = rights


def _deletable(world: SimpleNamespace) -> None:
    """A draft, which may still be changed, and an entry that an operator has made."""
    script = Script.objects.create(slug="closing", name="The closing")
    slot = Slot.objects.create(script=script, name="host")
    world.draft = Assignment.objects.create(campaign=world.campaign, script=script)
    world.casting = Casting.objects.create(assignment=world.draft, slot=slot, bot=world.actors[0])
    world.target = Target.objects.create(assignment=world.draft, chat=world.chats[0])
    world.colleague = User.objects.get(username="nobody")
    world.entry = Suppression.objects.create(telegram_user_id=12, source="operator")


def row_of(site: Site, label: str) -> Any:
    model = next(model for model in admin.site._registry if model._meta.label_lower == label)
    chosen = {
        "scripts.assignment": site.world.draft,
        "scripts.casting": site.world.casting,
        "scripts.target": site.world.target,
        "campaigns.suppression": site.world.entry,
        "auth.user": site.world.colleague,
    }
    return chosen.get(label) or model._default_manager.first()


def answered(
    site: Site, visitor: str, method: str, url: str, *, token: bool = False, data: Any = None
) -> tuple[str, list[str]]:
    """The kind of answer, and what was written."""
    written: list[str] = []

    def note(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if WRITES.match(sql) and not any(table in sql for table in UNCOUNTED):
            written.append(sql)
        return execute(sql, *rest)

    site.now = visitor
    headers = {"authorization": f"Token {site.keys[visitor]}"} if token and visitor in site.keys else {}
    with transaction.atomic() if method == "post" else nullcontext(), connection.execute_wrapper(note):
        answer = getattr(site.client, method)(url, data, headers=headers)
        if method == "post":
            transaction.set_rollback(True)
    return _kind(answer), written


def _kind(answer: Any) -> str:
    if answer.status_code == 302 and "/admin/login/" in answer.headers["Location"]:
        return LOGIN
    return OK if answer.status_code < 400 else str(answer.status_code)
