"""Addresses that nobody types, but that programs which look for holes ask for."""

import uuid

import pytest
from django.contrib.auth.models import User
from django.test import Client


@pytest.fixture
def panel(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return client


@pytest.mark.parametrize(
    "address",
    [
        "/admin/messaging/deadletter/?queue=%00",
        "/admin/messaging/deadletter/?error=Key%00Error",
        "/admin/bots/delivery/?state__exact=%00",
        "/admin/bots/bot/?role__exact=actor&q=%00",
        "/admin/leads/lead/?username__exact=%00",
        "/admin/campaigns/campaign/?%00=1",
        "/admin/campaigns/campaign/%00/change/",
        "/admin/trace/%00/",
        f"/api/sfc/{uuid.UUID(int=1)}/progress/?format=%00",
    ],
)
def test_a_nul_in_an_address_is_refused_in_a_sentence(panel: Client, address: str) -> None:
    answer = panel.get(address)
    assert answer.status_code == 400
    assert "The address contains a NUL character (%00)." in answer.content.decode()


def test_a_percent_sign_before_zeros_is_no_nul(panel: Client) -> None:
    assert panel.get("/admin/bots/bot/?q=%2500").status_code == 200
