"""Two operators, or two clicks, that save the same at once."""

from threading import Thread
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from panelkit.base import TOO_LATE
from scripts.admin.assignments import ScriptForCampaignAdmin
from scripts.models import Target
from tests.integration.script_world import make_chat, make_sfc

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def panel(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga"))
    return client


def elsewhere(work: Any) -> None:
    """Over another connection, committed before this returns."""

    def run() -> None:
        work()
        connection.close()

    thread = Thread(target=run)
    thread.start()
    thread.join()


def test_the_later_one_is_told_in_a_sentence(panel: Client, monkeypatch: pytest.MonkeyPatch):
    def save_after_another(self: Any, request: Any, obj: Any, form: Any, change: Any) -> None:
        elsewhere(lambda: Target.objects.create(sfc_id=obj.pk, chat_id=form.data["targets-0-chat"]))

    monkeypatch.setattr(ScriptForCampaignAdmin, "save_model", save_after_another)
    sfc, chat = make_sfc(chats=0), make_chat("square")
    values = {"campaign": sfc.campaign_id, "script": sfc.script_id, "seed": 0}
    values |= {"cast-INITIAL_FORMS": 0, "cast-TOTAL_FORMS": 0, "targets-INITIAL_FORMS": 0, "targets-TOTAL_FORMS": 1}
    page = f"/admin/scripts/scriptforcampaign/{sfc.pk}/change/"
    answer = panel.post(page, values | {"targets-0-chat": chat.pk}, follow=True)
    assert answer.redirect_chain == [(page, 302)]
    assert TOO_LATE in answer.content.decode()
    assert Target.objects.count() == 1
