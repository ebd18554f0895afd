"""Answers are compressed, except those that show a secret."""

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory
from django.urls import resolve, reverse

from campaigns.models import Suppression
from campaigns.suppressions.recording import suppression_add
from coolthing_site.web.middleware import WITH_SECRETS, Compression
from tests.integration import ledger

pytestmark = pytest.mark.django_db
GZIP = {"accept-encoding": "gzip, br"}


def test_a_list_is_sent_compressed(admin_client: Client) -> None:
    for number in range(30):
        ledger.make_bot(key=f"bot-{number}")
    url = reverse("admin:bots_bot_changelist")
    whole, small = admin_client.get(url), admin_client.get(url, headers=GZIP)
    assert "Content-Encoding" not in whole and small["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in small["Vary"]
    assert len(small.content) * 5 < len(whole.content)


def test_a_file_that_is_made_while_it_is_sent_is_compressed_too(admin_client: Client) -> None:
    for number in range(1, 50):
        suppression_add(telegram_user_id=number, username="", source=Suppression.Source.OPERATOR, reason="asked for it")
    answer = admin_client.get(reverse("admin:campaigns_suppression_changelist") + "export/", headers=GZIP)
    assert isinstance(answer, StreamingHttpResponse) and answer["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("name", sorted(WITH_SECRETS))
def test_what_shows_a_secret_is_sent_as_it_is(name: str) -> None:
    url = reverse(name, args=["x"] if "bot" in name else [])
    request = RequestFactory().get(url, headers=GZIP)
    request.resolver_match = resolve(url)

    def page(_request: HttpRequest) -> HttpResponse:
        return HttpResponse("a secret " * 100)

    compression: Any = Compression(page)
    assert "Content-Encoding" not in compression(request)
    request.resolver_match = resolve("/admin/")
    assert compression(request)["Content-Encoding"] == "gzip"
