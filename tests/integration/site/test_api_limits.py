"""Limits of requests to the API: they hold over all processes, end by themselves, and say when."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.test import APIClient

from coolthing_site.api.tokens import token_issue
from coolthing_site.models import RequestCount
from messaging.retention import prune_all

API = f"/api/sfc/{uuid.UUID(int=1)}/progress/"
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _limits(settings: Any) -> None:
    settings.API_USER_PER_MINUTE, settings.API_ANONYMOUS_PER_MINUTE, settings.API_FAILED_TOKENS_PER_HOUR = 3, 3, 3


@pytest.fixture
def key() -> str:
    return token_issue(user=User.objects.create_superuser("olga"), name="test")[1]


def ask(key: str = "", peer: str = HOME, **headers: Any) -> Any:
    if key:
        headers["HTTP_AUTHORIZATION"] = f"Token {key}"
    return APIClient().get(API, REMOTE_ADDR=peer, **headers)


def statuses(times: int, *args: str, **headers: Any) -> list[int]:
    return [ask(*args, **headers).status_code for _ in range(times)]


def assert_is_refused(answer: Any, seconds: int) -> None:
    assert answer.status_code == 429
    assert seconds - 30 <= int(answer["Retry-After"]) <= seconds
    assert answer.json()["detail"]


def test_a_user_is_limited_over_all_tokens_and_addresses(key: str) -> None:
    other = token_issue(user=User.objects.get(), name="another")[1]
    assert statuses(2, key) == [404, 404]
    assert statuses(1, other, ELSEWHERE) == [404]
    assert_is_refused(ask(key), 60)
    boris = token_issue(user=User.objects.create_superuser("boris"), name="test")[1]
    assert statuses(1, boris) == [404]


def test_who_shows_no_login_is_limited_by_address(key: str) -> None:
    assert statuses(3) == [401] * 3
    assert_is_refused(ask(), 60)
    assert_is_refused(ask(HTTP_X_FORWARDED_FOR=ELSEWHERE), 60)
    assert statuses(1, "", ELSEWHERE) == [401]
    assert statuses(1, key) == [404]


def test_wrong_tokens_are_limited_and_close_the_api_to_no_right_one(key: str) -> None:
    assert statuses(3, "wrong") == [401] * 3
    assert_is_refused(ask("wrong"), 3600)
    assert statuses(1, key) == [404]
    assert statuses(1, "wrong", ELSEWHERE) == [401]


def test_requests_without_permission_count(key: str) -> None:
    without = token_issue(user=User.objects.create_user("vera"), name="test")[1]
    assert statuses(4, without) == [403, 403, 403, 429]


def test_sessions_and_tokens_of_a_user_count_together(key: str) -> None:
    client = APIClient()
    client.force_login(User.objects.get())
    assert [client.get(API).status_code for _ in range(2)] == [404] * 2
    assert statuses(2, key) == [404, 429]
    assert client.get(API).status_code == 429


def test_a_limit_ends_by_itself_and_refused_requests_do_not_prolong_it(key: str) -> None:
    statuses(5, key)
    ends_at = RequestCount.objects.get().ends_at
    assert ask(key).status_code == 429
    assert RequestCount.objects.get().ends_at == ends_at
    RequestCount.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    assert statuses(4, key) == [404, 404, 404, 429]


def test_no_key_is_kept_and_what_is_over_is_pruned(key: str) -> None:
    statuses(1, key)
    statuses(1, "a wrong key")
    assert not RequestCount.objects.filter(key__contains=key).exists()
    assert not RequestCount.objects.filter(key__contains="wrong").exists()
    RequestCount.objects.filter(key__startswith="failed").update(ends_at=timezone.now() - timedelta(days=2))
    assert prune_all()["coolthing_site_requestcount"] == 1
