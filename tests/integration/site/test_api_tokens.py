"""Tokens of the API: shown once, kept as digests, revoked alone."""

import importlib
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

import coolthing_site.urls  # noqa: F401  It registers the pages.
from coolthing_site.api.tokens import digest_of, token_issue
from coolthing_site.models import ApiToken
from tests.integration.person_world import search

pytestmark = pytest.mark.django_db
ADD, LIST = "admin:coolthing_site_apitoken_add", "admin:coolthing_site_apitoken_changelist"


def person(name: str, *rights: str, is_superuser: bool = False) -> tuple[User, Client]:
    user = User.objects.create(username=name, is_staff=True, is_superuser=is_superuser)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return user, client


def made(client: Client, **fields: object) -> tuple[str, str]:
    """The page after a creation, and the key on it."""
    answer = client.post(reverse(ADD), {"name": "Grafana", **fields})
    assert answer.status_code == 200 and "no-store" in answer.headers["Cache-Control"]
    page = answer.content.decode()
    return page, page.partition('id="token-key">')[2].partition("<")[0]


def status_with(key: str) -> int:
    """404: the token is known, and nobody has such an id."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {key}")
    return client.get(reverse("sfc-progress", args=[uuid4()])).status_code


def test_a_key_is_shown_once_and_is_in_no_table_no_address_and_no_log(caplog):
    owner, client = person("olga", "add_apitoken", "view_apitoken", "view_assignment")
    with caplog.at_level("DEBUG"):
        page, key = made(client)
    assert len(key) > 40 and page.count(key) == 1
    assert status_with(key) == 404
    token = ApiToken.objects.get()
    assert token.user == owner and token.digest == digest_of(key)
    where = [reverse(f"admin:coolthing_site_apitoken_{page}", args=[token.pk]) for page in ("change", "history")]
    for url in (reverse(LIST), *where, "/admin/"):
        shown = client.get(url).content.decode()
        assert key not in shown and token.digest not in shown, url
    assert search(key) == [] and key not in caplog.text and key not in repr(token) + str(token)
    assert [entry.object_repr for entry in LogEntry.objects.all()] == ["Grafana of olga"]
    assert not any(key in str(cookie.value) for cookie in client.cookies.values())


def test_a_token_is_made_for_oneself_and_by_superusers_for_others():
    boss = User.objects.create_superuser("boss")
    olga, client = person("olga", "add_apitoken")
    made(client, user=boss.pk)
    assert ApiToken.objects.get().user == olga, "else its maker could do what the owner may"
    owner, root = person("root", is_superuser=True)
    form = root.get("/admin/coolthing_site/apitoken/add/").context["adminform"].form
    assert form.get_initial_for_field(form.fields["user"], "user") == owner.pk
    made(root, user=boss.pk)
    assert ApiToken.objects.filter(user=boss).count() == 1


def test_owners_revoke_their_own_and_a_viewer_none():
    olga, client = person("olga", "add_apitoken")
    _, viewer = person("vera", "view_apitoken")
    mine, key = token_issue(user=olga, name="mine")
    other, _ = token_issue(user=User.objects.create_superuser("boss"), name="theirs")
    listed = client.get(reverse("admin:coolthing_site_apitoken_changelist")).content.decode()
    assert "mine" in listed and "theirs" not in listed
    for who, token, status in ((viewer, mine, 403), (client, other, 403), (client, mine, 302)):
        url = reverse("admin:coolthing_site_apitoken_delete", args=[token.pk])
        assert who.post(url, {"post": "yes"}).status_code == status
    assert list(ApiToken.objects.all()) == [other]
    assert status_with(key) == 401


def test_it_is_noted_when_a_token_was_used_and_a_disabled_owners_does_nothing():
    user = User.objects.create_superuser("boss")
    token, key = token_issue(user=user, name="Grafana")
    assert token.last_used_at is None and status_with(key) == 404
    token.refresh_from_db()
    used = token.last_used_at
    assert used is not None and status_with(key) == 404
    token.refresh_from_db()
    assert token.last_used_at == used, "not at each request"
    User.objects.update(is_active=False)
    assert status_with(key) == 401
    assert status_with("x") == 401


def test_tokens_of_before_keep_working_and_their_keys_are_gone():
    user, key = User.objects.create_superuser("boss"), "0123456789abcdef0123456789abcdef01234567"
    with connection.schema_editor() as editor:
        editor.execute("CREATE TABLE authtoken_token (key varchar(40), user_id int, created timestamptz)")
        editor.execute("INSERT INTO authtoken_token VALUES (%s, %s, now())", (key, user.pk))
        take_over = importlib.import_module("coolthing_site.migrations.0003_tokens_of_before").take_over
        take_over(apps, editor)
        take_over(apps, editor)
    assert status_with(key) == 404
    assert search(key) == [] and "authtoken_token" not in connection.introspection.table_names()
