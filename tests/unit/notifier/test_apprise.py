"""Notifications through Apprise: which addresses, what a service's answer means, and what stays unsaid."""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from django.conf import settings as product

from notifier.channels.transports import TransportError, apprise, send
from outgoing import through_apprise
from outgoing.addresses import Allowed
from outgoing.services import SCHEMAS, options_in, service_problem
from outgoing.through_apprise import Watch, Wish, _fitting, deliver

CONTENT = {
    "id": "n-1",
    "title": "A title",
    "text": "The whole text",
    "url": "https://panel.example/admin/",
    "event": {},
}
TOKEN = "123456789:abcdefghijklmnopqrstuvwxyz-secret_0"
LOOPBACK = Allowed.of(["127.0.0.0/8"])


@pytest.mark.parametrize(
    "address",
    [
        f"tgram://{TOKEN}/-100123", f"tgram://{TOKEN}/-100123?silent=yes&topic=7", "slack://T1/A2/C3/#team",
        "mailtos://me:p%40ss@example.org?to=team@example.org&smtp=mail.example.org&mode=ssl", "ntfy://topic",
        "matrixs://user:pass@matrix.example.org/!room:example.org", "jsons://hooks.example.org/x?+X-Token=secret",
        "JSON://hooks.example.org",
    ],
)  # fmt: skip
def test_addresses_of_services_are_taken(address):
    assert service_problem(address, Allowed()) == ""


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd", "file://secret", "dbus://", "macosx://", "windows://", "gnome://", "glib://", "syslog://",
        "rsyslog://secret", "blink1://", "config://secret", "apprise://secret/token", "https://hooks.slack.com/services/a/b/c",
        "kodi://secret", "mqtt://secret", "irc://secret", "unknown://secret", "secret", "", "://secret", "tgram:secret",
        "json://secret\n", "json://[secret", "json://a json://secret/" + "x" * 2000,
    ],
)  # fmt: skip
def test_any_other_scheme_is_refused_and_not_repeated(address):
    problem = service_problem(address, Allowed())
    assert problem and "secret" not in problem


@pytest.mark.parametrize(
    "options",
    ["template=/etc/secret", "template=http://secret/", "pgpkey=/etc/secret", "pgpprv=/x", "attach=file:///etc/passwd",
     "redirect=yes", "verify=no", "rto=9999", "cto=9999", "retry=99", "wait=99", "store=yes", "tz=secret",
     "TEMPLATE=secret", "unknown=secret", "+X-Secret=1", "to=1;template=/etc/secret", "to=1#&template=/etc/secret",
     "to=1&%74emplate=/etc/secret", "to=1& template =/etc/secret", "to=?template=1&template=/etc/secret"],
)  # fmt: skip
def test_options_that_read_files_wait_or_trust_more_are_refused(options):
    problem = service_problem(f"tgram://{TOKEN}/1?{options}", Allowed())
    assert problem.startswith("the address may have these options only") and "secret" not in problem.lower()


def test_options_behind_a_hash_are_options():
    assert "options only" in service_problem("slack://T1/A2/C3/#team?template=/etc/passwd", Allowed())
    assert service_problem("slack://T1/A2/C3/#team?silent=yes", Allowed()) == ""


@pytest.mark.parametrize(
    "option", ["+Host=secret", "+content-length=9", "+Transfer-Encoding=chunked", "+%48ost=secret", "+ Host =secret"]
)
def test_headers_of_the_connection_itself_are_not_an_operators(option):
    problem = service_problem(f"jsons://hooks.example.org/x?{option}", Allowed())
    assert problem.startswith("the address may have these options only") and "secret" not in problem


@pytest.mark.parametrize("mode", ["insecure", "Insecure", "insecure%20"])
def test_a_password_is_not_sent_in_clear(mode):
    assert "in clear" in service_problem(f"mailto://me:secret@example.org?mode={mode}", Allowed())


@pytest.mark.parametrize("schema", sorted(SCHEMAS))
def test_every_scheme_is_one_of_apprises_and_reads_its_options_as_we_do(schema):
    """Whatever a service makes of its address: its options are among those that were looked at."""
    from apprise.manager_plugins import NotificationManager
    from apprise.plugins import url_to_dict

    assert schema in NotificationManager()
    query = "silent=yes;to=team@example.org&topic=a#b;Mode=ssl&%74hread=1"
    read = url_to_dict(f"{schema}://user:pass@example.org/abcdefghij/klmnopqrst?{query}")
    if read is not None:
        assert read["schema"] == schema and set(read["qsd"]) <= {name for name, _ in options_in(query)}


@pytest.mark.parametrize(
    "address",
    ["json://127.0.0.1/x", "jsons://user:secret@localhost:8443/x", "matrix://[::1]/x", "gotify://169.254.169.254/secret",
     "mailto://me:secret@example.org?smtp=127.0.0.1", "mailto://me:secret@example.org?smtp=localhost:25"],
)  # fmt: skip
def test_addresses_in_own_networks_are_refused_without_a_look_up(address):
    problem = service_problem(address, Allowed())
    assert "OUTGOING_ALLOWED_HOSTS" in problem and "secret" not in problem
    assert service_problem(address, Allowed.of(["127.0.0.0/8", "::1", "169.254.0.0/16", "localhost"])) == ""


class Receiver(ThreadingHTTPServer):
    status, body = 200, b"{}"

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answering)
        self.got: list[tuple[str, bytes]] = []
        self.origin = f"127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self):
        self.server.got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.send_header("Retry-After", "120")
        self.send_header("Location", f"http://{self.server.origin}/elsewhere")
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *args):
        pass


@pytest.fixture
def receiver():
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def test_a_service_gets_the_title_the_whole_text_and_the_link(receiver):
    send("apprise", f"json://{receiver.origin}/hook/secret", CONTENT)
    [(path, body)] = receiver.got
    assert path == "/hook/secret"
    assert json.loads(body)["title"] == "A title"
    assert json.loads(body)["message"] == "The whole text\nhttps://panel.example/admin/"


def test_a_services_refusal_is_reported_with_its_status_and_a_redirect_is_a_refusal(receiver):
    """One process each is a second: the statuses are looked at one by one below."""
    receiver.status = 302
    with pytest.raises(TransportError) as caught:
        send("apprise", f"json://user:secret@{receiver.origin}/hook/secret?+X-Key=secret", CONTENT)
    assert str(caught.value) == "apprise: the service answered HTTP 302" and caught.value.permanent
    assert len(receiver.got) == 1 and caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("outcome", "message", "permanent"),
    [
        ({"status": 401}, "the service answered HTTP 401", True),
        ({"status": 429}, "the service answered HTTP 429", False),
        ({"status": 503}, "the service answered HTTP 503", False),
        ({"refused": True}, "OUTGOING_ALLOWED_HOSTS", True),
        ({"problem": "no good"}, "no good", True),
        ({}, "could not be reached", False),
        ({"status": 200}, "did not accept the notification", False),
    ],
)
def test_what_an_outcome_means(outcome, message, permanent):
    with pytest.raises(TransportError, match=message) as caught:
        apprise._failed({"status": 0, "refused": False, "problem": "", "waits": {"retry-after": "7"}} | outcome)
    assert caught.value.permanent is permanent
    assert caught.value.retry_after == (7 if outcome.get("status", 0) >= 300 else None)


def test_a_service_that_is_silent_costs_an_attempt_and_not_the_worker(monkeypatch):
    """The whole process is ended, however it waits."""
    monkeypatch.setattr(apprise, "TIMEOUT_SECONDS", 0.05)
    with pytest.raises(TransportError, match="no answer within") as caught:
        send("apprise", "json://127.0.0.1:9/secret", CONTENT)
    assert not caught.value.permanent and caught.value.__cause__ is None and "secret" not in str(caught.value)


def test_a_name_that_resolves_to_an_own_network_is_refused_when_it_is_connected_to():
    """The name itself is harmless, so the process must look at what it resolves to; nothing is printed of it."""
    wish = {
        "address": f"json://{socket.gethostname()}:9/secret",
        "title": "t",
        "body": "b",
        "link": "",
        "allowed_hosts": [],
    }
    code = (
        "import socket, outgoing.through_apprise as it\n"
        "socket.getaddrinfo = lambda *a, **k: [(2, 1, 6, '', ('127.0.0.1', 9))]\n"
        "it.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(wish).encode(),
        capture_output=True,
        cwd=product.BASE_DIR,
        timeout=200,
    )
    assert json.loads(done.stdout) == {"sent": False, "problem": "", "refused": True, "status": 0, "waits": {}}
    assert b"secret" not in done.stdout + done.stderr


@pytest.fixture
def telegram(receiver, monkeypatch):
    """Apprise in this process, with a local server in place of Telegram's."""
    import requests
    from apprise.plugins.telegram import NotifyTelegram

    monkeypatch.setattr(NotifyTelegram, "notify_url", f"http://{receiver.origin}/bot")
    watch = Watch()
    monkeypatch.setattr(requests.Session, "send", watch.send(requests.Session.send))

    def sends(body="The text"):
        link = "https://panel.example/admin/"
        return deliver(Wish(f"tgram://{TOKEN}/-100123", "A title", body, link, []), watch)

    return sends


def test_a_telegram_bot_sends_it(receiver, telegram):
    assert telegram().sent
    [(path, body)] = receiver.got
    assert path == f"/bot{TOKEN}/sendMessage" and "The text" in json.loads(body)["text"]


def test_a_text_that_is_too_long_for_the_service_is_cut_and_the_link_is_not(receiver, telegram):
    assert telegram("many words " * 900).sent
    [(_, body)] = receiver.got
    text = json.loads(body)["text"]
    assert 4000 < len(text) <= 4096 and text.endswith(" …\r\nhttps://panel.example/admin/") and "A title" in text


def test_every_service_gets_no_more_than_it_takes():
    from apprise.manager_plugins import NotificationManager

    link = "https://panel.example/admin/"
    for schema in sorted(SCHEMAS):
        plugin = NotificationManager()[schema]
        # A property where the limit depends on the recipient: of an instance only.
        most = plugin.body_maxlen if isinstance(plugin.body_maxlen, int) else 7000
        limits = SimpleNamespace(
            body_maxlen=most,
            title_maxlen=plugin.title_maxlen,
            overflow_amalgamate_title=plugin.overflow_amalgamate_title,
        )
        title, body = _fitting(Wish("", "many words " * 20, "many words " * 9000, link, []), limits)
        together = plugin.overflow_amalgamate_title or not plugin.title_maxlen
        assert len(body) + (len(title) + 2 if together else 0) <= most and body.endswith(f" …\n{link}"), schema
        assert not plugin.title_maxlen or len(title) <= plugin.title_maxlen


@pytest.mark.parametrize(
    "address",
    [
        f"tgram://{TOKEN}/-100123/-100456", f"tgram://{TOKEN}/-100123?to=-100456", "ntfy://ntfy.example/good/bad",
        "mailtos://me:pass@example.org?to=a@example.org,b@example.org",
        "signals://signal.example/+15551234567/+15551234568/+15551234569",
    ],
)  # fmt: skip
def test_an_address_with_several_recipients_is_refused(address):
    """When one of them fails, a repeat would reach the others once more."""
    assert "several recipients" in service_problem(address, Allowed())


def test_recipients_are_counted_as_apprise_itself_has_read_them():
    outcome = deliver(Wish("matrixs://u:p@h.example/#a:h.example/#b:h.example", "t", "b", "", []), Watch())
    assert not outcome.sent and "several recipients" in outcome.problem


@pytest.mark.parametrize(
    "address",
    ["ntfy://ntfy.example/topic", "signals://signal.example/+15551234567/+15551234568", "pover://user@token?to=a,b"],
)
def test_one_recipient_is_taken(address):
    assert service_problem(address, Allowed()) == ""


@pytest.mark.parametrize(
    ("address", "in_clear"),
    [
        ("mailto://me:secret@example.org", True),
        ("mailto://me:secret@example.org?mode=ssl", False),
        ("mailtos://me:secret@example.org", False),
        ("mailto://example.org?from=me@example.org&to=you@example.org", False),
    ],
)
def test_a_password_goes_over_tls_only(address, in_clear, monkeypatch):
    from apprise.plugins.email.base import NotifyEmail

    monkeypatch.setattr(NotifyEmail, "notify", lambda self, **content: True)
    outcome = deliver(Wish(address, "t", "b", "", []), Watch())
    assert outcome.sent is not in_clear and ("in clear" in outcome.problem) is in_clear


def test_options_are_looked_at_as_apprise_itself_has_read_them(monkeypatch):
    """Should our reading miss one some day."""
    monkeypatch.setattr(through_apprise, "service_problem", lambda address, allowed: "")
    outcome = deliver(Wish(f"tgram://{TOKEN}/1?template=/etc/passwd", "t", "b", "", []), Watch())
    assert not outcome.sent and outcome.problem.startswith("the address may have these options only")


def test_a_redirect_is_not_followed_whatever_the_service_answers(receiver, monkeypatch):
    import requests

    receiver.status = 307
    watch = Watch()
    monkeypatch.setattr(requests.Session, "send", watch.send(requests.Session.send))
    answer = requests.post(f"http://{receiver.origin}/hook", data=b"{}", allow_redirects=True, timeout=30)
    assert (answer.status_code, [path for path, _ in receiver.got]) == (307, ["/hook"])
    assert watch.status == 307 and watch.waits["retry-after"] == "120"


@pytest.mark.parametrize(
    ("status", "description"), [(401, "Unauthorized"), (400, "Bad Request: chat not found"), (429, "Too Many Requests")]
)
def test_a_refusal_of_telegram_is_reported_with_its_status_and_without_the_token(
    receiver, telegram, capfd, status, description
):
    receiver.status = status
    receiver.body = json.dumps({"ok": False, "error_code": status, "description": description}).encode()
    outcome = telegram()
    assert (outcome.sent, outcome.status, outcome.problem) == (False, status, "")
    assert TOKEN not in repr(outcome)


def test_no_process_of_ours_imports_it():
    """It is imported by a process that lives for one message: 50 MB, and a logger that knows addresses."""
    code = "import django; django.setup(); import notifier.tasks, sys; sys.exit('apprise' in sys.modules)"
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "coolthing_site.settings"}
    assert subprocess.run([sys.executable, "-c", code], cwd=product.BASE_DIR, env=env, timeout=200).returncode == 0


def test_nothing_of_a_sending_is_logged(receiver, caplog):
    caplog.set_level(logging.DEBUG)
    receiver.status = 500
    with pytest.raises(TransportError):
        send("apprise", f"json://user:secret@{receiver.origin}/secret", CONTENT)
    assert "secret" not in caplog.text
