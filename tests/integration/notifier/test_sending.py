"""Events become notifications of the channels with a rule for them; each is sent once or shown as failed."""

import json
import logging
import os
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from bots.accounts.services import bot_died
from messaging.broker import topology
from messaging.consuming.subscriptions import handle
from messaging.events import UndecodableMessage
from messaging.models import OutboxEvent
from notifier.models import Channel, Notification, Rule
from notifier.notifications.lifecycle import CLAIM, MOST_ATTEMPTS, notification_claim, notifications_dispatch_due
from notifier.notifications.sending import notification_send
from telegram.errors import BotDead
from tests.integration.locks import at_once
from tests.integration.script_world import make_assignment, make_bot
from tests.llm_server import drips, hostile_server, http

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path, settings):
    settings.NOTIFICATION_FILES_DIR = str(tmp_path)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "secret-name.jsonl"


def channel(address, *patterns, name="file", kind="file", enabled=True):
    address = address.name if isinstance(address, Path) else address
    made = Channel.objects.create(name=name, kind=kind, address=address, enabled=enabled)
    for pattern in patterns:
        Rule.objects.create(channel=made, pattern=pattern)
    return made


def happens(key, **body):
    handle(topology.NOTIFIER_QUEUE, topology.EVENTS_EXCHANGE, key, json.dumps(body).encode())


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def soon():
    return timezone.now() + timedelta(hours=2)


def test_an_event_reaches_the_channels_whose_rules_fit(file):
    wanted = channel(file, "*.crash", "parser.#")
    channel(file, "scripts.finished", name="other")
    channel(file, "#", name="disabled", enabled=False)
    happens("parser.crash", id=str(uuid4()), service="parser", reason="it broke")
    notification = Notification.objects.get()
    assert (notification.channel, notification.state) == (wanted, "queued")
    assert notification.title == "parser crashed: it broke"
    assert notification.body["reason"] == "it broke"


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (BotDead("AUTH_KEY_DUPLICATED", needs_login=True), "has to be logged in again: AUTH_KEY_DUPLICATED"),
        (BotDead("USER_DEACTIVATED_BAN", needs_login=False), "is banned: USER_DEACTIVATED_BAN"),
    ],
)
def test_the_notification_of_a_dead_account_has_its_name_and_what_is_to_be_done(file, error, action):
    channel(file, "bots.banned")
    bot = make_bot("anna", display_name="Anna Petrova")
    bot_died(bot_id=bot.pk, epoch=bot.lease_epoch, error=error)
    banned = OutboxEvent.objects.get(routing_key="bots.banned")
    happens("bots.banned", **json.loads(banned.body))
    assert Notification.objects.get().title == f"Account Anna Petrova {action}"


def test_a_title_has_the_name_of_a_script_and_the_id_of_an_unknown_object(file):
    channel(file, "#")
    assignment, unknown = make_assignment(), uuid4()
    happens("scripts.started", id=str(uuid4()), sfc_id=str(assignment.pk), chats=[1])
    happens("scripts.started", id=str(uuid4()), sfc_id=str(unknown), chats=[1])
    assert set(Notification.objects.values_list("title", flat=True)) == {
        f"Script {assignment.script.name} started in 1 chat",
        f"Script {unknown} started in 1 chat",
    }


def test_a_worker_whose_clock_is_a_little_behind_sends_at_once(file):
    channel(file, "#")
    happens("parser.crash", id=str(uuid4()), service="parser", reason="it broke")
    notification = Notification.objects.get()
    early = notification.due_at - timedelta(milliseconds=300)
    assert notification_claim(notification_id=notification.id, now=early) is not None
    later = Notification.objects.create(
        channel=notification.channel, event_id=uuid4(), due_at=early + timedelta(hours=1)
    )
    assert notification_claim(notification_id=later.id, now=early) is None


def test_a_sent_notification_is_a_line_of_the_file(file):
    channel(file, "#")
    event_id = str(uuid4())
    happens("bots.banned", id=event_id, worker_id=str(uuid4()), comment="spam")
    notification = Notification.objects.get()
    notification_send(notification_id=notification.id)
    [line] = lines(file)
    assert (line["id"], line["event_id"], line["routing_key"]) == (str(notification.id), event_id, "bots.banned")
    assert "spam" in line["title"] and line["event"]["comment"] == "spam"
    notification.refresh_from_db()
    assert (notification.state, notification.attempts, notification.error) == ("sent", 1, "")


def test_a_second_delivery_of_the_event_or_the_task_sends_nothing(file):
    channel(file, "#")
    for _ in range(2):
        happens("parser.error", id="6f9619ff-8b86-4d01-b42d-00cf4fc964ff", service="parser", reason="no")
    notification = Notification.objects.get()
    for _ in range(2):
        notification_send(notification_id=notification.id)
    assert len(lines(file)) == 1


@pytest.mark.parametrize(
    ("key", "body", "title"),
    [
        (
            "scripts.finished",
            {"sfc_id": str(uuid4()), "finished_at": "2026-11-23T10:00:00Z", "problems": [None]},
            "1 line",
        ),
        ("scripts.started", {"sfc_id": str(uuid4()), "chats": ["@a", -100]}, "2 chats"),
        ("admin.started", {"service": "admin"}, "admin started"),
        ("parser.error", {"reason": "no service in the body"}, "Error in parser: no service"),
        ("parser.banned", {"worker_id": "7", "comment": "x"}, "Account 7 is banned: x"),
        ("billing.paid", {"sum": 5}, "billing: paid"),
    ],
)
def test_every_system_event_is_heard_also_those_of_other_programs(file, key, body, title):
    channel(file, "#")
    happens(key, **body)
    notification = Notification.objects.get()
    assert title in notification.title and notification.routing_key == key
    notification_send(notification_id=notification.id)
    assert lines(file)[0]["event"].keys() >= body.keys()


@pytest.mark.parametrize(
    ("key", "body", "reason"),
    [
        ("scripts.finished", {"problems": []}, "not a ScriptFinishedEvent: sfc_id: Field required"),
        ("scripts.started", {"sfc_id": str(uuid4())}, "not a ScriptStartedEvent: chats: Field required"),
        ("parser.error", {}, "not a ServiceErrorEvent: reason: Field required"),
        ("parser.crash", {"reason": 5}, "not a ServiceCrashedEvent: reason: Input should be a valid string"),
    ],
)
def test_a_known_event_without_its_fields_is_refused_with_a_reason(file, key, body, reason):
    channel(file, "#")
    with pytest.raises(UndecodableMessage, match=reason):
        happens(key, **body)
    assert not Notification.objects.exists()


def test_a_channel_that_is_away_is_tried_again_later_and_then_given_up(tmp_path, caplog):
    away = tmp_path / "secret-notes.jsonl"
    away.mkdir()
    channel(away, "#")
    happens("parser.error", service="parser", reason="no")
    notification = Notification.objects.get()
    now, waits = timezone.now(), []
    for _ in range(MOST_ATTEMPTS):
        notification_send(notification_id=notification.id, now=notification.due_at + timedelta(hours=1))
        notification.refresh_from_db()
        waits.append(notification.due_at - now)
    assert (notification.state, notification.attempts) == ("failed", MOST_ATTEMPTS)
    assert waits == sorted(waits)
    assert notification.error == "file: Is a directory"
    assert "secret" not in caplog.text and str(notification.id) in caplog.text
    assert not OutboxEvent.objects.exists(), "a failing channel causes no further events"


def test_a_channel_that_comes_back_gets_its_notification(tmp_path):
    file = tmp_path / "notes.jsonl"
    file.mkdir()
    channel(file, "#")
    happens("parser.error", service="parser", reason="no")
    notification = Notification.objects.get()
    notification_send(notification_id=notification.id)
    file.rmdir()
    assert notifications_dispatch_due(now=soon()) == 1
    notification_send(notification_id=notification.id, now=soon())
    assert len(lines(file)) == 1
    notification.refresh_from_db()
    assert (notification.state, notification.error) == ("sent", "")


def test_an_address_that_can_never_work_is_given_up_at_once(caplog):
    caplog.set_level(logging.DEBUG)
    channel("not-a-url-but-secret", "#", kind="webhook")
    happens("parser.error", service="parser", reason="no")
    notification_send(notification_id=Notification.objects.get().id)
    notification = Notification.objects.get()
    assert (notification.state, notification.attempts) == ("failed", 1)
    assert "secret" not in notification.error + caplog.text


def test_the_notifiers_own_errors_are_notified_once_and_cause_no_more(tmp_path):
    (tmp_path / "notes").mkdir()
    channel(tmp_path / "notes", "#")
    happens("notifier.error", service="notifier", reason="a channel fails")
    notification_send(notification_id=Notification.objects.get().id)
    assert Notification.objects.count() == 1 and not OutboxEvent.objects.exists()


def test_a_due_notification_without_a_task_gets_one_and_not_more(file):
    channel(file, "#")
    happens("parser.error", service="parser", reason="no")
    now = timezone.now()
    assert notifications_dispatch_due(now=now) == 0  # its task is on its way
    assert notifications_dispatch_due(now=now + timedelta(minutes=1)) == 1
    assert notifications_dispatch_due(now=now + timedelta(minutes=1)) == 0


def test_a_notification_whose_task_died_is_free_again(file):
    channel(file, "#")
    happens("parser.error", service="parser", reason="no")
    notification = Notification.objects.get()
    assert notification_claim(notification_id=notification.id, now=timezone.now())
    notification_send(notification_id=notification.id)
    assert lines(file) == []
    assert notifications_dispatch_due(now=soon()) == 1
    notification_send(notification_id=notification.id, now=soon())
    assert len(lines(file)) == 1


@pytest.mark.django_db(transaction=True)
def test_two_tasks_for_one_notification_at_the_same_moment_send_once(file):
    made = channel(file, "#")
    notification = Notification.objects.create(channel=made, event_id=uuid4(), routing_key="a.b", title="t", body={})
    at_once(*[lambda: notification_send(notification_id=notification.id, now=soon())] * 4)
    assert len(lines(file)) == 1


@pytest.mark.parametrize("wait", ["99999999999", "inf", "Fri, 01 Jan 2100 00:00:00 GMT"])
def test_a_receiver_that_asks_for_a_long_wait_gets_an_hour(wait):
    with hostile_server(http(b"", "429 Too Many Requests", Retry_After=wait)) as server:
        channel(server.url, "#", kind="webhook")
        happens("parser.error", service="parser", reason="no")
        before = timezone.now()
        notification_send(notification_id=Notification.objects.get().id)
    notification = Notification.objects.get()
    assert (notification.state, notification.attempts, notification.error) == ("queued", 1, "webhook: HTTP 429")
    assert before + timedelta(hours=1) <= notification.due_at <= timezone.now() + timedelta(hours=1)


@pytest.mark.parametrize(
    "answer", [drips(0.05), lambda connection: connection.sendall(b"no http")], ids=["drips", "no http"]
)
def test_a_receiver_that_answers_as_none_should_costs_an_attempt_and_not_the_worker(answer, monkeypatch):
    monkeypatch.setattr("notifier.channels.transports.webhook.TIMEOUT_SECONDS", 0.5)
    with hostile_server(answer) as server:
        channel(server.url, "#", kind="webhook")
        happens("parser.error", service="parser", reason="no")
        notification_send(notification_id=Notification.objects.get().id)
    notification = Notification.objects.get()
    assert (notification.state, notification.attempts, notification.claimed_until) == ("queued", 1, None)
    assert notification.error in ("webhook: TimeoutError", "webhook: RemoteProtocolError")


def test_a_pipe_that_nobody_reads_costs_an_attempt_and_not_the_worker(file):
    os.mkfifo(file)
    channel(file, "#")
    happens("parser.error", service="parser", reason="no")
    notification_send(notification_id=Notification.objects.get().id)
    notification = Notification.objects.get()
    assert (notification.state, notification.error) == ("queued", "file: No such device or address")


def test_a_failure_that_nobody_foresaw_is_counted_and_ends(file, caplog):
    """As good as any: the channel's secret was written with a key that is gone."""
    made = channel(file, "#")
    happens("parser.error", service="parser", reason="no")
    notification = Notification.objects.get()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE notifier_channel SET address = 'nonsense-of-another-key' WHERE id = %s", [made.pk])
    for _ in range(MOST_ATTEMPTS):
        notification_send(notification_id=notification.id, now=notification.due_at + timedelta(hours=1))
        notification.refresh_from_db()
    assert (notification.state, notification.attempts) == ("failed", MOST_ATTEMPTS)
    assert notification.error.startswith("unforeseen ") and "nonsense" not in notification.error + caplog.text


def test_a_notification_whose_task_is_killed_every_time_is_given_up(file):
    channel(file, "#")
    happens("parser.error", service="parser", reason="no")
    notification, now = Notification.objects.get(), soon()
    for _ in range(MOST_ATTEMPTS):
        assert notification_claim(notification_id=notification.id, now=now) is not None
        now += CLAIM + timedelta(seconds=1)
    assert notification_claim(notification_id=notification.id, now=now) is None
    notification.refresh_from_db()
    assert (notification.state, notification.error) == (
        "failed", "an attempt ended without a result, possibly because its worker stopped",
    )  # fmt: skip
