"""Failed logins: what is locked for whom, and until when."""

import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from coolthing_site.checks import proxies_are_named
from coolthing_site.environment import Environment
from coolthing_site.web.client_address import _warn_once
from coolthing_site.web.login_limits import unlock
from messaging.retention import prune_all

PASSWORD = "the right password of olga"
LOGIN = "/admin/login/"
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"
REFUSED, WRONG, IN = 429, 200, 302

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def olga() -> User:
    return User.objects.create_superuser("olga", password=PASSWORD)


def log_in(name: str = "olga", password: str = "wrong", *, peer: str = HOME, browser: str = "b", **more: Any) -> Any:
    """The answer to the login form."""
    headers = {"REMOTE_ADDR": peer, "HTTP_USER_AGENT": browser, **more}
    return Client().post(LOGIN, {"username": name, "password": password}, **headers)


def fail(times: int, **of: Any) -> list[int]:
    return [log_in(**of).status_code for _ in range(times)]


def forty_wrong_passwords() -> list[int]:
    # A new browser each time: what a client says about itself is not what it is counted by.
    return [log_in(browser=f"browser {number}").status_code for number in range(40)]


def test_after_forty_wrong_passwords_the_right_one_is_refused() -> None:
    assert log_in(password=PASSWORD).status_code == IN
    assert forty_wrong_passwords() == [WRONG] * 4 + [REFUSED] * 36
    assert log_in(password=PASSWORD).status_code == REFUSED


def test_whoever_fails_elsewhere_locks_nobody_out() -> None:
    fail(10, peer=ELSEWHERE)
    assert log_in(password=PASSWORD).status_code == IN
    assert log_in(password=PASSWORD, peer=ELSEWHERE).status_code == REFUSED


def test_one_password_cannot_be_tried_on_every_account(settings: Any) -> None:
    settings.LOGIN_FAILURES_OF_ADDRESS = 8
    User.objects.create_superuser("boris", password=PASSWORD)
    assert [log_in(f"account-{number}").status_code for number in range(8)] == [WRONG] * 8
    assert log_in("boris", PASSWORD).status_code == REFUSED
    assert log_in("boris", PASSWORD, peer=ELSEWHERE).status_code == IN


def test_an_address_of_ipv6_is_its_network() -> None:
    for number in range(5):
        log_in(peer=f"2001:db8:1:2::{number}")
    assert log_in(password=PASSWORD, peer="2001:db8:1:2:ffff::1").status_code == REFUSED
    assert log_in(password=PASSWORD, peer="2001:db8:1:3::1").status_code == IN


def test_a_lock_ends_by_itself_and_refused_logins_do_not_prolong_it(settings: Any) -> None:
    fail(9)
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=10))
    assert log_in(password=PASSWORD).status_code == REFUSED
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=15, seconds=1))
    # Old failures count no more.
    assert fail(1) == [WRONG]
    assert log_in(password=PASSWORD).status_code == IN


def test_a_login_forgets_the_failures_before_it() -> None:
    fail(4)
    assert log_in(password=PASSWORD).status_code == IN
    assert not AccessAttempt.objects.exists()
    assert fail(4) == [WRONG] * 4


def test_the_page_says_when_to_try_again_and_not_whether_the_account_exists() -> None:
    pages = []
    for name in ("olga", "nobody"):
        fail(5, name=name)
        answer = log_in(name, PASSWORD)
        assert 890 <= int(answer["Retry-After"]) <= 900
        assert name not in answer.content.decode()
        pages.append(re.sub(r"\d\d:\d\d:\d\d", "", answer.content.decode()))
    assert "try again in 15 minutes" in pages[0]
    assert 'href="/admin/login/"' in pages[0]
    wanted = log_in(QUERY_STRING="next=/admin/bots/bot/")
    assert 'href="/admin/login/?next=%2Fadmin%2Fbots%2Fbot%2F"' in wanted.content.decode()
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("trusted", "peer", "header", "counted"),
    [
        ([], HOME, f"{ELSEWHERE}", HOME),
        (["10.0.0.0/8"], HOME, f"{ELSEWHERE}", HOME),
        (["10.0.0.0/8"], "10.0.0.1", f"{ELSEWHERE}", ELSEWHERE),
        (["10.0.0.0/8"], "10.0.0.1", f"203.0.113.9, {ELSEWHERE}, 10.2.0.1", ELSEWHERE),
        (["10.0.0.0/8"], "::ffff:10.0.0.1", f"203.0.113.9,{ELSEWHERE}", ELSEWHERE),
        (["10.0.0.0/8"], "10.0.0.1", f"{ELSEWHERE}, unknown", "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", "", "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", f"{ELSEWHERE}:52011", ELSEWHERE),
        (["10.0.0.0/8"], "10.0.0.1", "[2001:db8:1:2::7]:52011", "2001:db8:1:2::"),
        (["10.0.0.0/8"], "10.0.0.1", "2001:db8:1:2::7", "2001:db8:1:2::"),
        ([], "fe80::1%eth0", "", "fe80::"),
        ([], "", ELSEWHERE, None),
    ],
)
def test_the_client_is_the_peer_unless_the_peer_is_a_trusted_proxy(
    trusted: list[str], peer: str, header: str, counted: str | None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", ",".join(trusted))
    settings.TRUSTED_PROXIES = Environment().networks("TRUSTED_PROXIES")
    log_in(peer=peer, HTTP_X_FORWARDED_FOR=header)
    assert AccessAttempt.objects.get().ip_address == counted


def test_a_deployment_behind_tls_without_a_trusted_proxy_is_warned_of(settings: Any) -> None:
    settings.HTTPS, settings.TRUSTED_PROXIES = True, []
    assert [problem.id for problem in proxies_are_named()] == ["coolthing_site.W002"]
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert proxies_are_named() == []


def test_a_proxy_that_nobody_named_is_warned_of_once(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    _warn_once.cache_clear()
    settings.HTTPS, settings.TRUSTED_PROXIES = True, []
    log_in()
    assert "TRUSTED_PROXIES" not in caplog.text
    log_in(HTTP_X_FORWARDED_FOR=ELSEWHERE)
    log_in(HTTP_X_FORWARDED_FOR=ELSEWHERE)
    assert caplog.text.count("TRUSTED_PROXIES") == 1


def test_nobody_is_unlocked_when_nobody_is_named() -> None:
    fail(1)
    assert unlock() == 0
    assert AccessAttempt.objects.exists()


def test_a_forged_header_opens_no_lock() -> None:
    for number in range(5):
        log_in(HTTP_X_FORWARDED_FOR=f"203.0.113.{number}")
    assert log_in(password=PASSWORD, HTTP_X_FORWARDED_FOR="203.0.113.99").status_code == REFUSED


def test_an_operator_unlocks_with_the_command() -> None:
    fail(5)
    fail(5, name="boris")
    out = StringIO()
    call_command("unlock_login", "olga", stdout=out)
    assert "1 counter" in out.getvalue()
    assert log_in(password=PASSWORD).status_code == IN
    assert log_in("boris").status_code == REFUSED
    call_command("unlock_login", address=HOME, stdout=out)
    assert log_in("boris").status_code == WRONG
    for wrong in ({}, {"address": "home"}):
        with pytest.raises(CommandError):
            call_command("unlock_login", **wrong)


def test_who_may_change_accounts_unlocks_in_the_panel(olga: User) -> None:
    fail(5, name="boris")
    row = AccessAttempt.objects.get()
    page, panel = f"/admin/axes/accessattempt/{row.pk}/do/unlock/", Client()
    viewer = User.objects.create_user("vera", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_accessattempt"))
    panel.force_login(viewer)
    assert panel.post(page).status_code == 403
    panel.force_login(olga)
    who = f"boris from {row.ip_address}"
    assert who in panel.get(page).content.decode()
    answer = panel.post(page, follow=True)
    assert f"This failed login of {who} was deleted" in answer.content.decode()
    assert "ccess attempt" not in answer.content.decode()
    assert not AccessAttempt.objects.exists()


def test_neither_passwords_nor_accounts_are_logged_or_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    fail(6, name="olga-the-account", password="a secret password")
    log_in(password=PASSWORD)
    for secret in ("a secret password", PASSWORD, "olga-the-account"):
        assert secret not in caplog.text
    for row in AccessAttempt.objects.values():
        assert "a secret password" not in str(row)


def test_old_failures_and_logins_that_are_over_are_pruned(olga: User) -> None:
    for days in (-2, 0):
        Session.objects.create(session_key=f"a{days}", expire_date=timezone.now() + timedelta(days=days, hours=1))
    fail(1)
    fail(1, name="boris")
    AccessAttempt.objects.filter(username="olga").update(attempt_time=timezone.now() - timedelta(days=8))
    removed = prune_all()
    assert (removed["axes_accessattempt"], removed["django_session"]) == (1, 1)
    assert Session.objects.get().session_key == "a0"
    assert AccessAttempt.objects.get().username == "boris"
