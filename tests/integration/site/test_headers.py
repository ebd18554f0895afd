"""What every answer tells the browser: what a page may load and do, and who may frame it."""

import re
from pathlib import Path

import pytest
import unfold as unfold_package
from django.contrib.auth.models import User
from django.test import Client
from unfold.settings import CONFIG_DEFAULTS

from tests.support import ROOT

POLICY = {
    "default-src 'self'",
    "script-src 'self' 'unsafe-eval'",
    "style-src 'self'",
    "style-src-attr 'unsafe-inline'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
}
HEADERS = {
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# What a browser would run or apply although it is written into the page. JSON in a <script> is data.
INLINE = re.compile(
    r"<script(?![^>]*(?:\ssrc=|application/json))[^>]*>|<style\b|\son[a-z]+\s*=\s*[\"']|javascript:", re.IGNORECASE
)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address", ["/admin/", "/admin/login/", "/admin/bots/bot/", "/nothing/", "/admin/%00/", "/health/"]
)
def test_every_answer_has_the_policy_and_the_headers(address: str) -> None:
    client = Client()
    if "login" not in address:
        client.force_login(User.objects.create_superuser("olga"))
    answer = client.get(address)
    assert set(answer["Content-Security-Policy"].split("; ")) == POLICY
    assert {name: answer[name] for name in HEADERS} == HEADERS
    assert "camera=()" in answer["Permissions-Policy"]
    assert INLINE.findall(answer.content.decode()) == []


@pytest.mark.django_db
def test_cookies_are_the_servers_alone_and_end_after_a_working_day() -> None:
    User.objects.create_superuser("olga", password="the right password")
    answer = Client().post("/admin/login/", {"username": "olga", "password": "the right password"})
    cookies = answer.cookies
    assert set(cookies) == {"sessionid", "csrftoken"}
    for cookie in cookies.values():
        assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert cookies["sessionid"]["max-age"] == 12 * 3600


def test_no_template_of_ours_has_a_script_or_a_style_sheet_in_it() -> None:
    templates = [path for path in ROOT.glob("*/templates/**/*.html") if ".venv" not in path.parts]
    assert len(templates) > 20
    assert {str(path): found for path in templates if (found := INLINE.findall(path.read_text()))} == {}


def test_the_inline_code_that_unfold_could_write_is_known() -> None:
    """An upgrade of Unfold that adds some fails here, not in an operator's browser."""
    unfold = Path(unfold_package.__file__).parent / "templates"
    found = {str(path.relative_to(unfold)) for path in unfold.rglob("*.html") if INLINE.search(path.read_text())}
    assert found == {
        "unfold/layouts/skeleton.html",  # the colours, which `without_colors` takes out
        "admin/change_list.html",  # only for lists with neither `actions_on_top` nor `actions_on_bottom`
        "unfold_crispy/layout/table_inline_formset.html",  # crispy forms, which nothing uses
    }


def test_the_style_sheet_has_every_colour_of_unfolds() -> None:
    sheet = (ROOT / "panelkit" / "static" / "panelkit" / "colors.css").read_text()
    wanted = {f"--color-{name}-{weight}" for name, of in CONFIG_DEFAULTS["COLORS"].items() for weight in of}
    assert set(re.findall(r"(--color-[\w-]+):", sheet)) == wanted
