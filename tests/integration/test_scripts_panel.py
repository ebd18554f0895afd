"""The pages on which scripts are written and assigned."""

import html
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from scripts.models import Line
from tests.integration.script_world import make_sfc

pytestmark = pytest.mark.django_db
BROKEN = "Hello {all"
WHY = "{ is never closed at character 7."


@pytest.fixture
def panel(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga"))
    return client


def said(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def test_a_lines_form_refuses_what_the_activation_would(panel: Client):
    line = make_sfc().script.lines.get(key="l1")
    values = {"script": line.script_id, "key": line.key, "position": 1, "slot": line.slot_id, "delay_seconds": 0}
    page = f"/admin/scripts/line/{line.pk}/change/"
    assert WHY in said(panel.post(page, values | {"text": BROKEN}))
    assert "A variant of it is blank." in said(panel.post(page, values | {"text": "{|Hello}"}))
    assert Line.objects.get(pk=line.pk).text == line.text
    assert panel.post(page, values | {"text": "{|Hello} all"}).status_code == 302


def test_so_does_the_line_on_its_scripts_page(panel: Client):
    script = make_sfc().script
    values = {"name": "Talk", "slug": "talk", "lines-INITIAL_FORMS": 0, "lines-TOTAL_FORMS": 1}
    values |= {"slots-INITIAL_FORMS": 0, "slots-TOTAL_FORMS": 0}
    line = {"key": "l9", "position": 9, "slot": script.slots.first().pk, "text": BROKEN, "delay_seconds": 0}
    values |= {f"lines-0-{name}": value for name, value in line.items()}
    assert WHY in said(panel.post(f"/admin/scripts/script/{script.pk}/change/", values))
    assert not Line.objects.filter(key="l9").exists()
