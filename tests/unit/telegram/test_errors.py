"""Every error ends in its kind, through Telethon's own parsing of the wire error."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from telethon.errors import TypeNotFoundError, rpc_message_to_error
from telethon.tl.functions import InvokeWithoutUpdatesRequest
from telethon.tl.functions.messages import SendMessageRequest
from telethon.tl.types import InputPeerSelf, RpcError

from telegram.error_mapping import map_error
from telegram.error_table import UNLISTED_MOST, note_unlisted, take_unlisted
from telegram.errors import (
    LONGEST_WAIT,
    AlreadySent,
    BotDead,
    BotFull,
    BotRestricted,
    ChatRefuses,
    PassingError,
    PeerRefuses,
    PermanentError,
    RetryAfter,
    TelegramError,
    TransientError,
)


def refused(code: int, name: str, wrap: bool = False) -> TelegramError:
    request = SendMessageRequest(InputPeerSelf(), "text", random_id=1)
    return map_error(
        rpc_message_to_error(RpcError(code, name), InvokeWithoutUpdatesRequest(request) if wrap else request)
    )


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize(
    ("name", "seconds"), [("FLOOD_WAIT_42", 42), ("SLOWMODE_WAIT_10", 10), ("FLOOD_PREMIUM_WAIT_3", 3)]
)
def test_waits_carry_seconds_name_and_method(name, seconds, wrap):
    error = refused(420, name, wrap)
    assert isinstance(error, RetryAfter)
    assert (error.seconds, error.reason, error.method) == (seconds, name, "SendMessage")


@pytest.mark.parametrize(
    ("code", "name", "needs_login"),
    [
        (401, "USER_DEACTIVATED_BAN", False),
        (401, "USER_DEACTIVATED", False),
        (420, "FROZEN_METHOD_INVALID", False),
        (400, "PHONE_NUMBER_BANNED", False),
        (406, "AUTH_KEY_DUPLICATED", True),
        (401, "AUTH_KEY_UNREGISTERED", True),
        (401, "SESSION_REVOKED", True),
    ],
)
def test_dead_accounts(code, name, needs_login):
    error = refused(code, name)
    assert isinstance(error, BotDead)
    assert (error.reason, error.needs_login) == (name, needs_login)


@pytest.mark.parametrize(
    ("code", "name", "kind"),
    [
        (400, "PEER_FLOOD", BotRestricted),
        (400, "USER_BANNED_IN_CHANNEL", BotRestricted),
        (400, "CHANNELS_TOO_MUCH", BotFull),
        (400, "USER_CHANNELS_TOO_MUCH", BotFull),
        (500, "RANDOM_ID_DUPLICATE", AlreadySent),
        (400, "USER_IS_BLOCKED", PeerRefuses),
        (403, "USER_PRIVACY_RESTRICTED", PeerRefuses),
        (403, "PRIVACY_PREMIUM_REQUIRED", PeerRefuses),
        (400, "USERNAME_NOT_OCCUPIED", PeerRefuses),
        (403, "CHAT_WRITE_FORBIDDEN", ChatRefuses),
        (403, "CHAT_SEND_PLAIN_FORBIDDEN", ChatRefuses),
        (400, "CHANNEL_PRIVATE", ChatRefuses),
        (400, "INVITE_HASH_EXPIRED", ChatRefuses),
        (400, "MESSAGE_TOO_LONG", PermanentError),
        (403, "ALLOW_PAYMENT_REQUIRED_20", PeerRefuses),
        (403, "SOMETHING_NEW", PassingError),
        (401, "SOMETHING_NEW", PassingError),
        (420, "SOMETHING_NEW", RetryAfter),
        (303, "USER_MIGRATE_4", PassingError),
        (500, "SOMETHING_BROKE", PassingError),
        (500, "RPC_CALL_FAIL", PassingError),
        (500, "INTERDC_2_CALL_ERROR", PassingError),
        (503, "Timeout", PassingError),
    ],
)
def test_kind_of_each_refusal(code, name, kind):
    error = refused(code, name)
    assert type(error) is kind


@pytest.mark.parametrize("error", [ConnectionError(), TimeoutError(), asyncio.IncompleteReadError(b"", 4)])
def test_a_broken_connection_is_transient(error):
    assert isinstance(map_error(error), TransientError)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("CHANNEL_PRIVATE", "removed"),
        ("USER_NOT_PARTICIPANT", "removed"),
        ("CHAT_WRITE_FORBIDDEN", "silenced"),
        ("CHAT_SEND_PLAIN_FORBIDDEN", "silenced"),
        ("CHAT_ID_INVALID", ""),
        ("INVITE_REQUEST_SENT", ""),
        ("USERS_TOO_MUCH", ""),
    ],
)
def test_the_consequence_of_a_chats_refusal_for_a_member(name, says):
    error = refused(400, name)
    assert isinstance(error, ChatRefuses)
    assert error.says == says


def test_an_unforeseen_exception_may_pass_and_is_reported_without_its_own_words(caplog):
    take_unlisted()
    error = map_error(TypeNotFoundError(0x1234ABCD, b"my card is 4111"))
    assert type(error) is PassingError
    assert error.reason == "TypeNotFoundError"
    assert take_unlisted() == {"TypeNotFoundError": ""}
    assert "TypeNotFoundError" in caplog.text and "4111" not in caplog.text


def test_an_unlisted_wait_is_kept_for_as_long_as_its_name_says_and_reported_once():
    take_unlisted()
    waits = [refused(420, f"NEW_LIMIT_WAIT_{number}") for number in (3600, 7200)]
    assert [wait.seconds for wait in waits if isinstance(wait, RetryAfter)] == [3600, 7200]
    assert take_unlisted() == {"NEW_LIMIT_WAIT_X": "SendMessage"}


def test_an_error_outside_the_table_is_kept_for_a_report_once():
    take_unlisted()
    for name in ("SOMETHING_NEW", "PEER_FLOOD", "SOMETHING_NEW"):
        refused(400, name)
    refused(500, "SOMETHING_BROKE")
    assert take_unlisted() == {"SOMETHING_NEW": "SendMessage"}
    assert take_unlisted() == {}


@pytest.mark.parametrize(("code", "says_no"), [(400, True), (406, True), (500, False), (-503, False)])
def test_what_may_pass_is_known_not_to_have_happened_only_when_telegram_refused_it(code, says_no):
    error = refused(code, "SOMETHING_NEW")
    assert isinstance(error, PassingError)
    assert error.refused is says_no


def test_the_names_that_are_kept_for_a_report_are_bounded():
    take_unlisted()
    for number in range(UNLISTED_MOST + 1):
        note_unlisted("MADE_UP_" + "".join(chr(65 + int(digit)) for digit in str(number)), "SendMessage")
    assert len(take_unlisted()) == UNLISTED_MOST


@pytest.mark.parametrize(
    ("name", "seconds"), [("FLOOD_WAIT_0", 1), ("FLOOD_WAIT_172800", 172_800), (f"FLOOD_WAIT_{10**20}", LONGEST_WAIT)]
)
def test_a_wait_is_at_least_a_second_and_never_beyond_the_calendar(name, seconds):
    error = refused(420, name)
    assert isinstance(error, RetryAfter)
    assert (error.seconds, error.reason) == (seconds, name)
    assert datetime.now(UTC) + timedelta(seconds=error.seconds)
