"""Two operators, or two clicks, that save the same at once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from campaigns.models import Campaign
from panelkit.base import TOO_LATE
from parser.admin import KeywordAdmin
from parser.models import Keyword

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def panel(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga"))
    return client


def elsewhere(work: Any) -> None:
    """Over another connection, committed before this returns. The caller waits inside its transaction: a lock of its
    own that `work` needs would never be released."""

    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '60s'")
        try:
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(run).result()


def test_the_later_one_is_told_in_a_sentence(panel: Client, monkeypatch: pytest.MonkeyPatch):
    campaign = Campaign.objects.create(slug="tea", name="Tea")
    values = {"kind": Keyword.Kind.PLUS.value, "text": "tea"}

    def save_after_another(self: Any, request: Any, obj: Any, form: Any, change: Any) -> None:
        elsewhere(lambda: Keyword.objects.create(campaign=campaign, **values))
        obj.save()

    monkeypatch.setattr(KeywordAdmin, "save_model", save_after_another)
    page = "/admin/parser/keyword/add/"
    answer = panel.post(page, values | {"campaign": campaign.pk}, follow=True)
    assert answer.redirect_chain == [(page, 302)]
    assert TOO_LATE in answer.content.decode()
    assert Keyword.objects.count() == 1
