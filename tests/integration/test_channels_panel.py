"""What an operator enters for a channel, and what the page says of it."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from notifier.models import Channel

pytestmark = pytest.mark.django_db

RULES = {"rules-TOTAL_FORMS": 0, "rules-INITIAL_FORMS": 0}


@pytest.fixture
def panel() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    return client


def add(panel: Client, kind: str, address: str) -> str:
    """What the form answers; empty when the channel was made."""
    fields = {"name": "team", "kind": kind, "address": address, "enabled": "on", **RULES}
    answer = panel.post(reverse("admin:notifier_channel_add"), fields)
    return "" if answer.status_code == 302 else answer.content.decode()


@pytest.mark.parametrize(
    ("kind", "address", "said"),
    [
        ("file", "/root/.bashrc", "A file is a plain name"),
        ("file", ".bashrc", "A file is a plain name"),
        ("webhook", "secret.jsonl", "A webhook is a URL"),
        ("webhook", "http://169.254.169.254/secret", "OUTGOING_ALLOWED_HOSTS"),
    ],
)
def test_an_address_that_cannot_work_is_refused_at_the_door(panel, kind, address, said):
    answer = add(panel, kind, address)
    assert said in answer and address not in answer
    assert not Channel.objects.exists()


@pytest.mark.parametrize(
    ("kind", "address"), [("file", "team.jsonl"), ("file", "команда 1.jsonl"), ("webhook", "https://hooks.example/x")]
)
def test_an_address_that_may_work_is_taken_without_asking_anybody(panel, kind, address):
    assert add(panel, kind, address) == ""
    assert Channel.objects.get().address == address


def test_another_kind_needs_another_address(panel):
    made = Channel.objects.create(name="team", kind="file", address="team.jsonl")
    url = reverse("admin:notifier_channel_change", args=[made.pk])
    answer = panel.post(url, {"name": "team", "kind": "webhook", "address": "", "enabled": "on", **RULES})
    assert "needs an address of its own" in answer.content.decode()
    assert Channel.objects.get().kind == "file"


def test_a_channel_of_an_earlier_release_says_what_to_do(panel):
    made = Channel.objects.create(name="team", kind="file", address="/var/log/secret.jsonl")
    for url in (
        reverse("admin:notifier_channel_changelist"),
        reverse("admin:notifier_channel_change", args=[made.pk]),
    ):
        shown = panel.get(url).content.decode()
        assert "a file is a plain name, such as team.jsonl" in shown and "secret" not in shown
