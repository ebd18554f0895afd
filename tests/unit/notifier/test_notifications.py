"""Patterns, titles and transports of notifications."""

import json
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import bots.events  # noqa: F401  # so that its events are declared
import leads.events  # noqa: F401
import scripts.events  # noqa: F401
from messaging.broker.routing import topic_matches
from messaging.broker.topology import EVENTS_EXCHANGE
from messaging.events import _registry
from notifier.channels.rules import DEFAULT_PATTERNS, KNOWN_KEYS, pattern_problem
from notifier.channels.transports import TransportError, send
from notifier.notifications.titles import LONGEST, title_of

CONTENT = {"id": "n-1", "title": "Ошибка", "event": {"reason": "no"}}


@pytest.mark.parametrize(
    ("pattern", "key", "fits"),
    [
        ("#", "bots.banned", True),
        ("#", "a.b.c", True),
        ("*.crash", "parser.crash", True),
        ("*.crash", "parser.error", False),
        ("*.crash", "a.parser.crash", False),
        ("#.crash", "a.parser.crash", True),
        ("#.crash", "crash", True),
        ("bots.#", "bots", True),
        ("bots.#", "bots.banned", True),
        ("bots.#", "bots2.banned", False),
        ("bots.*", "bots", False),
        ("scripts.finished", "scripts.finished", True),
        ("scripts.finished", "scripts.started", False),
        ("*", "one", True),
        ("*", "one.two", False),
        ("*.*.#", "one", False),
        ("bots.b*", "bots.banned", False),
        ("b.ts.banned", "bots.banned", False),
    ],
)
def test_patterns_mean_what_they_mean_to_the_broker(pattern, key, fits):
    assert topic_matches(pattern, key) is fits


def name_of(field: str, value: object) -> str:
    return {"worker_id b-1": "Anna", "sfc_id s-1": "Tulips", "campaign_id c-1": "Tea"}.get(
        f"{field} {value}", str(value)
    )


@pytest.mark.parametrize(
    ("key", "body", "title"),
    [
        ("parser.error", {"reason": "it\n broke"}, "Error in parser: it broke"),
        ("parser.error", {}, "Error in parser: no reason given"),
        ("scripts.crash", {"reason": "no progress"}, "scripts crashed: no progress"),
        ("bots.banned", {"worker_id": "b-1", "comment": "spam"}, "Account Anna is banned: spam"),
        ("bots.banned", {"worker_id": "b-2"}, "Account b-2 is banned: no reason given"),
        ("bots.banned", {}, "Account unknown is banned: no reason given"),
        (
            "bots.banned",
            {"worker_id": "b-1", "comment": "SESSION_REVOKED: it has to be logged in again"},
            "Account Anna has to be logged in again: SESSION_REVOKED",
        ),
        ("scripts.started", {"sfc_id": "s-1", "chats": [1, "@two"]}, "Script Tulips started in 2 chats"),
        ("scripts.started", {"service": "scripts"}, "scripts started"),
        ("scripts.finished", {"sfc_id": "s-1", "problems": []}, "Script Tulips finished without problems"),
        ("scripts.finished", {"sfc_id": "s-1", "problems": ["x"]}, "Script Tulips finished with 1 line not sent"),
        ("billing.paid", {"sum": 5}, "billing: paid"),
        ("eu.billing.paid", {"sum": 5}, "eu: billing.paid"),
        ("paid", {"sum": 5}, "paid"),
        ("", {"sum": 5}, "An event without a routing key"),
    ],
)
def test_titles_are_readable(key, body, title):
    assert title_of(key, body, name_of) == title


@pytest.mark.parametrize(
    ("key", "body", "count", "title"),
    [
        ("manager.handover", {"campaign_id": "c-1", "reason": "The AI asks."}, 1,
         "1 conversation in Tea waits for your answer. Reason: The AI asks."),
        ("manager.handover", {"campaign_id": "c-1", "reason": "The AI asks."}, 12,
         "12 conversations in Tea wait for your answer. Last reason: The AI asks."),
        ("manager.approval", {"campaign_id": "c-1", "reason": "Late."}, 2,
         "2 first contacts in Tea wait for your approval. Last reason: Late."),
        ("admin.dead_letter", {"queue": "q", "reason": "expired"}, 1,
         "1 dead letter from q: replay, edit or discard it. Reason: expired"),
        ("admin.dead_letter", {}, 3,
         "3 dead letters from an unknown queue: replay, edit or discard them. Last reason: no reason given"),
        ("scripts.play_failed", {"sfc_id": "s-1", "reason": "Chat: no"}, 1,
         "1 play of script Tulips failed. Reason: Chat: no"),
    ],
)  # fmt: skip
def test_a_title_shows_what_waits_and_what_to_do(key, body, count, title):
    assert title_of(key, body, name_of, count=count) == title


def test_a_long_title_ends_with_its_advice_or_is_seen_to_be_cut():
    advice = (
        "It is frozen, has been killed, or cannot reach the database: look at its output, and kill it if it is frozen"
    )
    reason = f"leads (pid 7 on a-host-with-a-name.example.internal) {'has sent no heartbeat ' * 10}. {advice}"
    assert title_of("manager.crash", {"reason": reason}, name_of).endswith(advice)
    cut = title_of("parser.error", {"reason": "word " * 1000}, name_of)
    assert len(cut) <= LONGEST and cut.endswith("word …")
    assert len(title_of("parser.error", {"reason": "x" * 1000}, name_of)) <= LONGEST


@pytest.fixture
def folder(tmp_path, settings):
    settings.NOTIFICATION_FILES_DIR = str(tmp_path / "notifications")
    return tmp_path / "notifications"


def test_a_file_gets_a_line_for_each_notification(folder):
    path = folder / "notes.jsonl"
    send("file", path.name, CONTENT)
    send("file", path.name, CONTENT)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [CONTENT, CONTENT]
    assert path.stat().st_mode & 0o077 == 0


def test_lines_of_several_writers_do_not_mix(folder):
    path = folder / "notes.jsonl"
    contents = [{"id": str(number), "text": str(number % 10) * 5000} for number in range(100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: send("file", path.name, content), contents))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(lines, key=lambda line: int(line["id"])) == contents


@pytest.mark.parametrize(
    "name",
    ["/nowhere/secret-place", "secret/place", "../secret", "..", ".secret", ".", "", "secret\0place", "secret\\place",
     "secret\nplace", "secret" * 60, "~/.secret/../x"],
)  # fmt: skip
def test_what_is_no_plain_name_is_never_written_to(folder, name):
    with pytest.raises(TransportError) as caught:
        send("file", name, CONTENT)
    assert caught.value.permanent and "secret" not in str(caught.value) and caught.value.__cause__ is None
    assert not folder.exists()


def test_a_link_out_of_the_folder_is_not_followed(folder, tmp_path):
    folder.mkdir()
    outside = tmp_path / "bashrc"
    outside.write_text("mine\n")
    (folder / "secret").symlink_to(outside)
    (folder / "dangling").symlink_to(tmp_path / "new")
    for name in ("secret", "dangling"):
        with pytest.raises(TransportError) as caught:
            send("file", name, CONTENT)
        assert "secret" not in str(caught.value)
    assert outside.read_text() == "mine\n" and not (tmp_path / "new").exists()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_only_a_regular_file_is_written_to(folder, make):
    folder.mkdir()
    make(folder / "notes")
    reading = os.open(folder / "notes", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(TransportError, match=r"regular file|directory"):
        send("file", "notes", CONTENT)
    os.close(reading)


class Receiver(HTTPServer):
    """Answers with the statuses of `answers`, then with 200; keeps what it got."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_port}/hook/secret-token"


@pytest.fixture
def receiver():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.got.append((self.path, dict(self.headers), body))
            status = server.answers.pop(0) if server.answers else 200
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *args):
            pass

    server = Receiver(Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_a_webhook_gets_a_post_with_json(receiver):
    send("webhook", receiver.url, CONTENT)
    [(path, headers, body)] = receiver.got
    assert path == "/hook/secret-token" and json.loads(body) == CONTENT
    assert headers["Content-Type"] == "application/json" and headers["Idempotency-Key"] == "n-1"


@pytest.mark.parametrize(("status", "permanent"), [(500, False), (429, False), (404, True), (302, True)])
def test_a_refusal_shows_whether_it_is_final(receiver, status, permanent):
    receiver.answers = [status]
    with pytest.raises(TransportError, match=str(status)) as caught:
        send("webhook", receiver.url, CONTENT)
    assert caught.value.permanent is permanent
    assert "secret" not in str(caught.value) and len(receiver.got) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.1", "[::ffff:127.0.0.1]", "169.254.169.254"])
def test_a_webhook_into_an_own_network_is_never_tried(receiver, settings, host):
    settings.OUTGOING_ALLOWED_HOSTS = []
    with pytest.raises(TransportError, match="OUTGOING_ALLOWED_HOSTS") as caught:
        send("webhook", receiver.url.replace("127.0.0.1", host), CONTENT)
    assert caught.value.permanent and receiver.got == []
    assert "secret" not in str(caught.value) and host not in str(caught.value)


def test_an_allowed_host_is_connected_to_by_its_address_and_called_by_its_name(receiver, settings):
    settings.OUTGOING_ALLOWED_HOSTS = ["localhost"]
    send("webhook", receiver.url.replace("127.0.0.1", "localhost"), CONTENT)
    [(_, headers, _)] = receiver.got
    assert headers["Host"] == f"localhost:{receiver.server_port}"


def test_a_receiver_that_is_unreachable_is_tried_later():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/secret-token"
        with pytest.raises(TransportError) as caught:
            send("webhook", url, CONTENT)
    assert not caught.value.permanent and "secret" not in str(caught.value)


def test_a_receiver_that_is_silent_is_tried_later(monkeypatch):
    monkeypatch.setattr("notifier.channels.transports.webhook.TIMEOUT_SECONDS", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TransportError, match="Timeout") as caught:
            send("webhook", f"http://127.0.0.1:{silent.getsockname()[1]}/", CONTENT)
    assert not caught.value.permanent


def test_a_look_up_that_does_not_end_costs_no_more_than_the_deadline(monkeypatch):
    monkeypatch.setattr("notifier.channels.transports.webhook.TIMEOUT_SECONDS", 0.1)
    over, given_up = threading.Event(), threading.Event()

    def getaddrinfo(*args, **kwargs):
        if not over.wait(30):
            given_up.set()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(TransportError, match="Timeout"):
        send("webhook", "http://hooks.example/", CONTENT)
    assert not given_up.is_set()
    over.set()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/secret", "secret", "", "http://", "http://[secret"])
def test_an_address_that_is_no_url_is_never_tried(url):
    with pytest.raises(TransportError) as caught:
        send("webhook", url, CONTENT)
    assert caught.value.permanent and "secret" not in str(caught.value)


def test_the_known_keys_are_those_of_the_events_that_channels_can_be_notified_of():
    declared = {
        event._key.replace("{service}", "SERVICE")
        for event in _registry
        if event._exchange == EVENTS_EXCHANGE and not event._fallback and not event.__module__.startswith("tests.")
    }
    assert set(KNOWN_KEYS) == declared


@pytest.mark.parametrize("pattern", ["bots. error", " bots.error", "", "bots..error", "bots.", "err*", "a b"])
def test_a_pattern_that_can_never_match_is_none(pattern: str):
    assert pattern_problem(pattern) and not any(map(pattern_problem, DEFAULT_PATTERNS))
    assert not pattern_problem("#") and not pattern_problem("billing/eu.paid:now")
