"""Logging accounts in, over unmodified Telethon against the sandbox."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from telethon.crypto import AESModeCTR
from telethon.sessions import SQLiteSession, StringSession
from telethon.tl import types

from sandbox.mtproto.logins.tokens import token_of
from sandbox.world.faults import Fault
from telegram.connection.missed_updates import NoticingClient
from telegram.connection.session_store import StoredSession, key_of
from telegram.logins import client
from telegram.logins.client import CodeSent, LoginError, PasswordNeeded, QrCode
from telegram.logins.session_imports import from_file, from_string
from telegram.types import Credentials
from tests.telegram.accounts import CREDENTIALS, Accounts, code_of, logged_in, point_at
from tests.telegram.sandbox_support import Town, until

PASSWORD = "correct horse"
ANNAS_PHONE = "+9996611111"
GLEBS_PHONE = "+9996644444"


@pytest.fixture(autouse=True)
def _server(settings, town: Town) -> None:
    point_at(settings, town.sandbox)


@pytest.fixture
def gleb(town: Town):
    return town.world.add_user(first_name="Gleb", phone=GLEBS_PHONE, username="gleb", password=PASSWORD)


async def says(awaitable, *words: str) -> LoginError:
    """The refusal, whose sentence has these words in it."""
    with pytest.raises(LoginError) as caught:
        await awaitable
    assert all(word in str(caught.value) for word in words), str(caught.value)
    return caught.value


async def test_code_and_password_log_in(town: Town, gleb) -> None:
    sent = await client.request_code(CREDENTIALS, GLEBS_PHONE)
    assert (sent.kind, sent.next_kind, sent.resend_seconds) == ("app", "sms", None)
    with pytest.raises(PasswordNeeded) as needed:
        await client.sign_in(CREDENTIALS, sent, code_of(gleb))
    await says(client.check_password(CREDENTIALS, needed.value.session, "wrong"), "The password is wrong")
    session, me = await client.check_password(CREDENTIALS, needed.value.session, PASSWORD)
    assert (me.user_id, me.username, me.phone) == (gleb.id, "gleb", "9996644444")
    accounts = Accounts()
    assert (await (await accounts.open(session)).me()).user_id == gleb.id
    await accounts.close()


async def test_a_code_is_sent_again_in_the_next_way(town: Town) -> None:
    sent = await client.request_code(CREDENTIALS, ANNAS_PHONE)
    again = await client.resend_code(CREDENTIALS, sent)
    assert (again.kind, again.next_kind) == ("sms", "call")
    assert again.resend_seconds and again.resend_seconds > 0
    last = await client.resend_code(CREDENTIALS, again)
    assert (last.kind, last.next_kind, last.resend_seconds) == ("call", "", None)
    await says(client.resend_code(CREDENTIALS, last), "no other way", "QR code")
    _, me = await client.sign_in(CREDENTIALS, last, code_of(town.anna))
    assert me.user_id == town.anna.id


async def test_what_is_wrong_with_a_code_is_reported(town: Town) -> None:
    sent = await client.request_code(CREDENTIALS, ANNAS_PHONE)
    await says(client.sign_in(CREDENTIALS, sent, "00000"), "The code is wrong")
    await says(client.sign_in(CREDENTIALS, sent, ""), "The code is missing")
    town.sandbox.mtproto.codes.expire("9996611111")
    await says(client.sign_in(CREDENTIALS, sent, code_of(town.anna)), "has expired", "Request a new code")
    await says(client.resend_code(CREDENTIALS, sent), "has expired")


@pytest.mark.parametrize(
    ("phone", "fault", "words"),
    [
        ("+12", None, ("does not accept", "international form")),
        (ANNAS_PHONE, Fault(kind="PHONE_NUMBER_BANNED"), ("has banned this phone number", "appeal")),
        (ANNAS_PHONE, Fault(kind="PHONE_NUMBER_FLOOD"), ("Too many codes", "tomorrow")),
        (ANNAS_PHONE, Fault(kind="API_ID_INVALID"), ("API id", "my.telegram.org")),
        (ANNAS_PHONE, Fault(kind="FROZEN_METHOD_INVALID", method="auth.sendCode"), ("frozen", "appeal")),
    ],
)
async def test_what_is_wrong_with_a_number_is_reported(town: Town, phone: str, fault: Fault | None, words) -> None:
    if fault:
        town.sandbox.faults.plan(fault)
    await says(client.request_code(CREDENTIALS, phone), *words)


async def test_a_number_without_an_account_shows_at_the_code(town: Town) -> None:
    sent = await client.request_code(CREDENTIALS, "+9996699999")
    await says(client.sign_in(CREDENTIALS, sent, "99999"), "no Telegram account", "sign up")


async def test_too_many_attempts_report_how_long_to_wait(town: Town) -> None:
    town.sandbox.faults.plan(Fault(kind="FLOOD_WAIT", method="auth.sendCode", seconds=3600))
    refused = await says(client.request_code(CREDENTIALS, ANNAS_PHONE), "Too many attempts", "3600 seconds")
    assert refused.wait_seconds == 3600


async def test_too_many_passwords_are_reported(town: Town, gleb) -> None:
    sent = await client.request_code(CREDENTIALS, GLEBS_PHONE)
    with pytest.raises(PasswordNeeded) as needed:
        await client.sign_in(CREDENTIALS, sent, code_of(gleb))
    town.sandbox.faults.plan(Fault(kind="PHONE_PASSWORD_FLOOD"))
    await says(client.check_password(CREDENTIALS, needed.value.session, PASSWORD), "Too many", "tomorrow")


async def test_an_account_of_another_data_centre_logs_in_there(town: Town) -> None:
    town.sandbox.faults.plan(Fault(kind="PHONE_MIGRATE"))
    sent = await client.request_code(CREDENTIALS, ANNAS_PHONE)
    assert StoredSession(sent.session).dc_id == 4
    _, me = await client.sign_in(CREDENTIALS, sent, code_of(town.anna))
    assert me.user_id == town.anna.id


async def test_a_data_centre_whose_address_has_changed_since_the_process_began_is_found(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody_there = types.DcOption(id=4, ip_address="127.0.0.1", port=1)
    monkeypatch.setattr(NoticingClient, "_config", SimpleNamespace(dc_options=[nobody_there]))
    town.sandbox.faults.plan(Fault(kind="PHONE_MIGRATE"))
    sent = await client.request_code(CREDENTIALS, ANNAS_PHONE)
    assert StoredSession(sent.session).dc_id == 4


@pytest.mark.parametrize("method", ["help.getConfig", "users.getUsers"])
async def test_a_session_whose_account_telegram_has_moved_is_taken_over_and_logged_out_there(
    town: Town, method: str
) -> None:
    session = await logged_in(town.anna)
    town.sandbox.faults.plan(Fault(kind="USER_MIGRATE", user=town.anna.id, method=method))
    moved, me = await client.adopt(CREDENTIALS, session)
    assert (me.user_id, StoredSession(moved).dc_id) == (town.anna.id, 4)
    assert key_of(moved) != key_of(session)
    town.sandbox.faults.plan(Fault(kind="USER_MIGRATE", user=town.anna.id))
    await client.log_out(CREDENTIALS, moved)


async def test_a_session_that_cannot_be_moved_is_as_it_was(town: Town) -> None:
    session = await logged_in(town.anna)
    for method in ("users.getUsers", "auth.exportAuthorization"):
        town.sandbox.faults.plan(Fault(kind="USER_MIGRATE", user=town.anna.id, method=method, times=3))
    await says(client.adopt(CREDENTIALS, session), "USER_MIGRATE_4", "Try again")
    town.sandbox.faults.clear()
    adopted, _ = await client.adopt(CREDENTIALS, session)
    assert key_of(adopted) == key_of(session)


class Screen:
    """Where codes are shown; whoever is named scans the next one at once."""

    def __init__(self, town: Town) -> None:
        self.codes: list[QrCode] = []
        self.scanning: Any = None
        self._town = town

    async def show(self, code: QrCode) -> None:
        self.codes.append(code)
        if self.scanning is not None:
            self._town.sandbox.mtproto.accept_token(token_of(code.url), self.scanning.id)


async def test_a_qr_code_stays_valid_for_the_process_that_continues_its_session(town: Town) -> None:
    screen = Screen(town)
    first = asyncio.ensure_future(client.qr_wait(CREDENTIALS, screen.show, limit=60))
    await until(lambda: screen.codes, "a code")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await until(lambda: not town.sandbox.mtproto.connections, "its connection closed")
    screen.scanning = town.anna
    _, me = await client.qr_wait(CREDENTIALS, screen.show, limit=60, session_text=screen.codes[0].session)
    assert me.user_id == town.anna.id
    assert len({code.url for code in screen.codes}) == 1
    assert not any(key.destroyed for key in town.sandbox.mtproto.auth_keys.dump())


async def test_a_scanned_qr_code_may_ask_for_the_password_in_another_data_centre(town: Town, gleb) -> None:
    screen = Screen(town)
    waiting = asyncio.ensure_future(client.qr_wait(CREDENTIALS, screen.show, limit=60))
    await until(lambda: screen.codes, "a code")
    town.sandbox.faults.plan(Fault(kind="LOGIN_TOKEN_MIGRATE"))
    town.sandbox.mtproto.accept_token(token_of(screen.codes[0].url), gleb.id)
    with pytest.raises(PasswordNeeded) as needed:
        await waiting
    assert StoredSession(needed.value.session).dc_id == 4
    _, me = await client.check_password(CREDENTIALS, needed.value.session, PASSWORD)
    assert me.user_id == gleb.id


async def test_a_scan_is_reported_by_telegram_and_a_new_code_is_shown_in_time(town: Town) -> None:
    town.sandbox.mtproto.tokens.valid_seconds = 2
    screen = Screen(town)
    shown = screen.codes
    waiting = asyncio.ensure_future(client.qr_wait(CREDENTIALS, screen.show, limit=30))
    await until(lambda: len(shown) == 2, "a second code")
    town.sandbox.mtproto.tokens.valid_seconds = 600
    await until(lambda: len(shown) == 3, "a code that lasts")
    town.sandbox.mtproto.accept_token(token_of(shown[-1].url), town.anna.id)
    _, me = await asyncio.wait_for(waiting, 60)
    assert me.user_id == town.anna.id
    assert len({code.url for code in shown}) == 3


async def test_a_code_that_is_not_scanned_is_reported(town: Town) -> None:
    await says(client.qr_wait(CREDENTIALS, Screen(town).show, limit=0), "was not scanned")


async def test_a_string_session_of_another_program_is_taken_over(town: Town) -> None:
    other = await town.login(town.anna)
    text = other.session.save()
    await other.disconnect()
    session, me = await client.adopt(CREDENTIALS, from_string(f"  {text}\n"))
    assert me.user_id == town.anna.id
    assert key_of(session) == key_of(from_string(text))
    accounts = Accounts()
    assert (await (await accounts.open(session)).me()).user_id == town.anna.id
    await accounts.close()


async def test_a_session_file_of_another_program_is_taken_over(town: Town, tmp_path: Path) -> None:
    other = await town.login(town.anna)
    file = SQLiteSession(str(tmp_path / "anna"))
    file.set_dc(2, "10.1.2.3", 99)
    file.auth_key = other.session.auth_key
    file.save()
    file.close()
    await other.disconnect()
    session = from_file((tmp_path / "anna.session").read_bytes())
    assert "10.1.2.3" not in session, "its address is not believed"
    _, me = await client.adopt(CREDENTIALS, session)
    assert me.user_id == town.anna.id


async def test_a_session_that_has_ended_is_reported(town: Town) -> None:
    other = await town.login(town.anna)
    text = other.session.save()
    await other.log_out()
    await says(client.adopt(CREDENTIALS, from_string(text)), "ended this session", "Log in anew")
    town.sandbox.mtproto.auth_keys.load([])
    await says(client.adopt(CREDENTIALS, from_string(text)), "does not know this session", "Log in anew")


async def test_a_deleted_or_banned_account_is_reported(town: Town) -> None:
    session = await logged_in(town.anna)
    town.sandbox.faults.plan(Fault(kind="USER_DEACTIVATED_BAN"))
    await says(client.adopt(CREDENTIALS, session), "banned this account", "appeal")


async def test_logging_out_ends_the_session_and_may_be_repeated(town: Town) -> None:
    session = await logged_in(town.anna)
    for _ in range(2):
        await client.log_out(CREDENTIALS, session)
    await says(client.adopt(CREDENTIALS, session), "ended this session")
    await until(lambda: not town.sandbox.mtproto.connections, "all connections closed")


async def test_a_silent_and_a_refusing_proxy_are_distinguished(town: Town) -> None:
    nobody = Credentials(1, "sandbox", "socks5://me:hunter2@127.0.0.1:1")
    said = await says(client.request_code(nobody, ANNAS_PHONE), "The proxy does not answer", "host and port")
    assert "hunter2" not in str(said)

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as rude:
        port = rude.sockets[0].getsockname()[1]
        refusing = Credentials(1, "sandbox", f"socks5://me:hunter2@127.0.0.1:{port}")
        await says(client.request_code(refusing, ANNAS_PHONE), "The proxy answers", "user name")
    await says(client.request_code(Credentials(1, "x", "nonsense"), ANNAS_PHONE), "socks5://")


async def test_an_unreachable_telegram_is_reported(town: Town, settings) -> None:
    settings.TELEGRAM_SERVER = "127.0.0.1:1"
    await says(client.request_code(CREDENTIALS, ANNAS_PHONE), "cannot be reached", "network")


async def test_nothing_secret_is_in_a_refusal_or_a_log(town: Town, gleb, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    sent = await client.request_code(CREDENTIALS, GLEBS_PHONE)
    with pytest.raises(PasswordNeeded) as needed:
        await client.sign_in(CREDENTIALS, sent, code_of(gleb))
    wrong = await says(client.check_password(CREDENTIALS, needed.value.session, "not-the-secret"))
    auth_key = StoredSession(sent.session).auth_key
    assert auth_key
    key = auth_key.key.hex()
    for secret in (sent.phone_code_hash, "not-the-secret", key, sent.session):
        assert secret not in caplog.text
        assert secret not in f"{needed.value} {wrong}"


def test_other_texts_and_files_are_no_sessions(tmp_path: Path) -> None:
    for text in ("", "hello", "1", "1" + "A" * 352, "2" + "A" * 352, StringSession().save()):
        with pytest.raises(LoginError, match="not a StringSession"):
            from_string(text)
    for data in (b"", b"hello", b"SQLite format 3\x00" + b"x" * 5000):
        with pytest.raises(LoginError, match="not a session file"):
            from_file(data)
    SQLiteSession(str(tmp_path / "empty")).close()
    with pytest.raises(LoginError, match="contains no login"):
        from_file((tmp_path / "empty.session").read_bytes())


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE VIEW sessions AS SELECT 2 AS dc_id, zeroblob(256) AS auth_key",
        "CREATE VIEW sessions AS WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) "
        "SELECT n AS dc_id, n AS auth_key FROM t ORDER BY n",
        "CREATE TABLE sessions (auth_key TEXT)",
        "CREATE TABLE other (x)",
    ],
)
def test_a_hostile_file_is_refused_at_once(schema: str, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "bad.session") as database:
        database.execute(schema)
    database.close()
    with pytest.raises(LoginError, match="not a session file"):
        from_file((tmp_path / "bad.session").read_bytes())


def test_secrets_are_not_shown_by_repr() -> None:
    shown = repr(CodeSent("+4917", "the-session", "the-hash", "app", "sms", None))
    assert "the-session" not in shown and "the-hash" not in shown and "+4917" not in shown
    assert "the-url" not in repr(QrCode("the-session", "the-url", datetime.now(UTC)))


class MtProxy:
    """What an MTProxy does (https://core.telegram.org/mtproto/mtproto-transports#transport-obfuscation): it takes the
    client's layer of encryption off, and passes on what is below it.
    """

    def __init__(self, secret: bytes, host: str, port: int) -> None:
        self._secret, self._target = secret, (host, port)
        self.served = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(64)
        back = head[8:56][::-1]
        incoming = AESModeCTR(sha256(head[8:40] + self._secret).digest(), head[40:56])
        outgoing = AESModeCTR(sha256(back[:32] + self._secret).digest(), back[32:])
        codec = incoming.decrypt(head)[56:60]
        if codec != b"\xdd\xdd\xdd\xdd":
            writer.close()
            return
        self.served += 1
        there, here = await asyncio.open_connection(*self._target)
        here.write(codec)
        await asyncio.gather(_pump(reader, here, incoming.decrypt), _pump(there, writer, outgoing.encrypt))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes]) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(change(data))
            await writer.drain()
    writer.close()


async def test_an_mtproxy_is_used_and_a_wrong_secret_is_reported(town: Town) -> None:
    secret = bytes(range(16))
    proxy = MtProxy(secret, town.sandbox.host, town.sandbox.mtproto_port)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        through = Credentials(1, "sandbox", f"mtproxy://dd{secret.hex()}@127.0.0.1:{port}")
        sent = await client.request_code(through, ANNAS_PHONE)
        _, me = await client.sign_in(through, sent, code_of(town.anna))
        assert (me.user_id, proxy.served) == (town.anna.id, 2)
        wrong = Credentials(1, "sandbox", f"mtproxy://{'00' * 16}@127.0.0.1:{port}")
        await says(client.request_code(wrong, ANNAS_PHONE), "The proxy answers", "secret")
