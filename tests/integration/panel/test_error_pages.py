"""What the panel answers when something goes wrong, and where a login leads."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError
from django.test import Client
from django.urls import path

from coolthing_site import urls

API = f"/api/sfc/{uuid.UUID(int=1)}/progress/"
OVERVIEW = 'href="/admin/"'


class Broken:
    """The site's addresses, and some that fail."""

    handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500

    @staticmethod
    def fail(request: Any, problem: str) -> Any:
        raise {"bad": SuspiciousOperation, "forbidden": PermissionDenied, "broken": ZeroDivisionError}[problem]

    urlpatterns = [*urls.urlpatterns]


Broken.urlpatterns += [path("fail/<problem>/", Broken.fail), path("api/fail/<problem>/", Broken.fail)]


@pytest.fixture
def client(settings: Any) -> Client:
    settings.ROOT_URLCONF = Broken
    return Client(raise_request_exception=False)


@pytest.fixture
def olga(db: None) -> User:
    return User.objects.create_superuser("olga", password="the right password")


def assert_is_page(answer: Any, status: int, *texts: str) -> None:
    assert answer.status_code == status
    shown = answer.content.decode()
    assert "panelkit/errors.css" in shown
    for text in (OVERVIEW, *texts):
        assert text in shown


@pytest.mark.parametrize(
    ("address", "status", "text"),
    [
        ("/nothing/", 404, "Page not found"),
        ("/accounts/profile/", 404, "Page not found"),
        ("/fail/bad/", 400, "Invalid request"),
        ("/fail/forbidden/", 403, "Permission denied"),
        ("/fail/broken/", 500, "Internal error"),
        ("/admin/%00/", 400, "NUL character"),
    ],
)
def test_every_error_has_a_page_that_needs_neither_login_nor_database(
    client: Client, address: str, status: int, text: str
) -> None:
    # Without the fixture `db` each query fails the test.
    assert_is_page(client.get(address), status, text)


@pytest.mark.parametrize(("problem", "status"), [("bad", 400), ("forbidden", 403), ("broken", 500), ("x/y", 404)])
def test_the_api_answers_json(client: Client, problem: str, status: int) -> None:
    answer = client.get(f"/api/fail/{problem}/")
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/json")
    assert answer.json()["detail"] and "page has this address" not in answer.json()["detail"]


def test_a_host_that_is_not_ours_is_told_so(client: Client) -> None:
    assert_is_page(client.get("/health/", HTTP_HOST="evil.example"), 400, "DJANGO_ALLOWED_HOSTS")
    assert "evil" not in client.get("/health/", HTTP_HOST="evil.example").content.decode()


def test_a_form_without_its_token_is_told_what_to_do(settings: Any) -> None:
    answer = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "olga"})
    assert_is_page(answer, 403, "reload the page")


def test_with_the_database_away_the_panel_says_what_to_look_at(
    client: Client, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("away")

    client.force_login(olga)
    with monkeypatch.context() as patch:
        patch.setattr("django.db.backends.utils.CursorWrapper.execute", away)
        answer = client.get("/admin/bots/bot/")
        assert_is_page(answer, 503, "/health/")
        assert int(answer["Retry-After"]) and "may not have been saved" not in answer.content.decode()
        assert_is_page(client.post("/admin/bots/bot/add/", {}), 503, "may not have been saved")
        asked = client.get(API, HTTP_AUTHORIZATION="Token x")
        assert (asked.status_code, asked["Content-Type"]) == (503, "application/json")


@pytest.mark.parametrize(
    ("referer", "way"),
    [
        ("http://testserver/admin/bots/bot/?q=a", 'href="/admin/bots/bot/?q=a"'),
        ("http://testserver//evil.example/", 'href="/evil.example/"'),
        ("http://evil.example/admin/", ""),
        ("http://testserver/nothing/", ""),
    ],
)
def test_a_way_back_leads_to_the_page_before_and_never_elsewhere(client: Client, referer: str, way: str) -> None:
    shown = client.get("/nothing/", HTTP_REFERER=referer).content.decode()
    assert shown.count("<a ") == (2 if way else 1)
    assert way in shown


@pytest.mark.parametrize(
    ("address", "leads_to"),
    [
        ("/admin/login/", "/admin/"),
        ("/admin/login/?next=", "/admin/"),
        ("/admin/login/?next=/admin/bots/bot/", "/admin/bots/bot/"),
        ("/admin/login/?next=https://evil.example/", "/admin/"),
        ("/admin/login/?next=//evil.example/", "/admin/"),
        ("/admin/login/?next=/%5Cevil.example/", "/admin/"),
    ],
)
def test_a_login_leads_to_the_page_that_was_wanted_and_never_elsewhere(olga: User, address: str, leads_to: str) -> None:
    answer = Client().post(address, {"username": "olga", "password": "the right password"})
    assert (answer.status_code, answer["Location"]) == (302, leads_to)


def test_whoever_is_logged_in_is_sent_on_from_the_login_page(olga: User) -> None:
    client = Client()
    client.force_login(olga)
    assert client.get("/admin/login/")["Location"] == "/admin/"
