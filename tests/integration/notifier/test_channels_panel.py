"""What an operator enters for a channel, and what the page shows about it."""

import html
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notifier.channels.rules import DEFAULT_PATTERNS
from notifier.models import Channel, Notification, Rule
from notifier.notifications.sending import notification_send

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
    ("kind", "address", "explanation"),
    [
        ("file", "/root/.bashrc", "Enter the name of a file in NOTIFICATION_FILES_DIR"),
        ("file", ".bashrc", "Enter the name of a file in NOTIFICATION_FILES_DIR"),
        ("webhook", "secret.jsonl", "Enter the URL of the webhook"),
        ("webhook", "http://169.254.169.254/secret", "OUTGOING_ALLOWED_HOSTS"),
        ("apprise", "dbus://secret", "Apprise is used for"),
        ("apprise", "mailto://me:secret@example.org?template=/etc/passwd", "these options only"),
    ],
)
def test_an_address_that_cannot_work_is_refused_at_the_door(panel, kind, address, explanation):
    answer = add(panel, kind, address)
    assert explanation in answer and address not in answer
    assert "Enter this value again" in answer and ("`.env`" in answer or "OUTGOING" not in answer)
    assert not Channel.objects.exists()


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("file", "team.jsonl"),
        ("file", "команда 1.jsonl"),
        ("webhook", "https://hooks.example/x"),
        ("apprise", "tgram://123456789:abcdefghijklmnopqrstuvwxyz_0123456/-100123"),
    ],
)
def test_an_address_that_may_work_is_accepted_without_a_lookup(panel, kind, address):
    assert add(panel, kind, address) == ""
    assert Channel.objects.get().address == address


def test_another_kind_needs_another_address(panel):
    channel = Channel.objects.create(name="team", kind="file", address="team.jsonl")
    url = reverse("admin:notifier_channel_change", args=[channel.pk])
    answer = panel.post(url, {"name": "team", "kind": "webhook", "address": "", "enabled": "on", **RULES})
    assert "enter an address of the new kind" in answer.content.decode()
    assert Channel.objects.get().kind == "file"


def test_the_page_of_a_channel_of_an_earlier_release_shows_what_to_do(panel):
    channel = Channel.objects.create(name="team", kind="file", address="/var/log/secret.jsonl")
    for url in (
        reverse("admin:notifier_channel_changelist"),
        reverse("admin:notifier_channel_change", args=[channel.pk]),
    ):
        shown = panel.get(url).content.decode()
        assert (
            "enter the name of a file in NOTIFICATION_FILES_DIR, such as team.jsonl" in shown and "secret" not in shown
        )


def test_a_new_channel_without_a_rule_gets_the_default_rules_and_a_channel_with_a_rule_keeps_it(panel):
    add(panel, "file", "team.jsonl")
    assert set(Rule.objects.values_list("pattern", flat=True)) == set(DEFAULT_PATTERNS)
    fields = {"name": "other", "kind": "file", "address": "other.jsonl", "enabled": "on"}
    rules = {"rules-TOTAL_FORMS": 1, "rules-INITIAL_FORMS": 0, "rules-0-pattern": "#"}
    assert panel.post(reverse("admin:notifier_channel_add"), fields | rules).status_code == 302
    assert [rule.pattern for rule in Rule.objects.filter(channel__name="other")] == ["#"]


@pytest.fixture
def channel(tmp_path, settings) -> Channel:
    settings.NOTIFICATION_FILES_DIR = str(tmp_path)
    return Channel.objects.create(name="team", kind="file", address="team.jsonl", enabled=False)


def request_test(panel: Client, channel: Channel):
    return panel.post(reverse("admin:notifier_channel_operate", args=[channel.pk, "test"]), {"_confirmed": "1"})


def shown(panel: Client, channel: Channel) -> str:
    return panel.get(reverse("admin:notifier_channel_change", args=[channel.pk])).content.decode()


def test_a_test_is_sent_by_a_worker_and_the_page_shows_what_became_of_it(panel, channel, tmp_path):
    assert "Last test" not in shown(panel, channel)
    page = panel.get(request_test(panel, channel).url).content.decode()
    assert "team gets a test notification" in page and "tested" not in page
    assert "On its way" in shown(panel, channel) and not (tmp_path / "team.jsonl").exists()
    test = Notification.objects.get()
    notification_send(notification_id=test.pk)
    assert "arrived" in shown(panel, channel) and "Test: " in (tmp_path / "team.jsonl").read_text()


def test_a_test_that_fails_shows_why_and_the_next_test_replaces_it(panel, channel, tmp_path):
    (tmp_path / "team.jsonl").mkdir()
    request_test(panel, channel)
    first = Notification.objects.get()
    notification_send(notification_id=first.pk)
    assert "Not delivered: file: Is a directory. The next attempt is at" in shown(panel, channel)
    Channel.objects.update(address="/nowhere")
    request_test(panel, channel)
    first.refresh_from_db()
    assert (first.state, first.error) == ("failed", "another test was sent before this one arrived")
    notification_send(notification_id=Notification.objects.get(state="queued").pk)
    assert "Not delivered: file: enter the name of a file" in shown(panel, channel)


def test_who_may_not_change_a_channel_may_not_test_it(channel):
    viewer = User.objects.create_user("vera", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_channel"))
    client = Client()
    client.force_login(viewer)
    assert request_test(client, channel).status_code == 403
    assert "Send a test" not in shown(client, channel) and not Notification.objects.exists()


def test_a_failing_channel_shows_on_its_page_in_the_list_and_on_the_overview_until_something_arrives(panel, channel):
    pages = [
        reverse("admin:notifier_channel_change", args=[channel.pk]),
        reverse("admin:notifier_channel_changelist"),
        reverse("admin:index"),
    ]
    channel.enabled = True
    channel.save()
    now = timezone.now()
    fields = {"channel": channel, "routing_key": "bots.error", "title": "Error in bots"}
    Notification.objects.create(
        event_id=uuid4(), state="queued", attempts=9, error="HTTP 502", due_at=now + timedelta(minutes=5), **fields
    )
    for page in pages:
        shown = panel.get(page).content.decode()
        assert "1 notification not delivered" in shown and "HTTP 502 (9 attempts, another follows)" in shown
    later = now + timedelta(minutes=6)
    Notification.objects.create(event_id=uuid4(), state="sent", sent_at=later, due_at=later, **fields)
    for page in pages:
        assert "HTTP 502" not in panel.get(page).content.decode()


def test_a_pattern_that_can_never_match_is_refused_with_an_explanation_on_both_pages(panel, channel):
    form = {"name": "team", "kind": "file", "address": "", "rules-TOTAL_FORMS": 1, "rules-INITIAL_FORMS": 0}
    pages = {
        reverse("admin:notifier_channel_change", args=[channel.pk]): form | {"rules-0-pattern": "bots. error"},
        reverse("admin:notifier_rule_add"): {"channel": channel.pk, "pattern": "bots. error"},
    }
    for page, fields in pages.items():
        shown = html.unescape(panel.post(page, fields).content.decode())
        assert "not a topic pattern" in shown and "scripts.play_failed" in shown
    assert not Rule.objects.exists()
