"""Every error ends in its kind, through Telethon's own parsing of the wire error."""

import asyncio

import pytest
from telethon.errors import rpc_message_to_error
from telethon.tl.functions import InvokeWithoutUpdatesRequest
from telethon.tl.functions.messages import SendMessageRequest
from telethon.tl.types import InputPeerSelf, RpcError

from telegram.errors import (
    AlreadySent,
    BotDead,
    BotRestricted,
    ChatRefuses,
    PeerRefuses,
    PermanentError,
    RetryAfter,
    TelegramError,
    TransientError,
)
from telegram.mapping import map_error


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
        (500, "RANDOM_ID_DUPLICATE", AlreadySent),
        (400, "USER_IS_BLOCKED", PeerRefuses),
        (403, "USER_PRIVACY_RESTRICTED", PeerRefuses),
        (403, "PRIVACY_PREMIUM_REQUIRED", PeerRefuses),
        (400, "USERNAME_NOT_OCCUPIED", PeerRefuses),
        (403, "CHAT_WRITE_FORBIDDEN", ChatRefuses),
        (403, "CHAT_SEND_PLAIN_FORBIDDEN", ChatRefuses),
        (400, "CHANNEL_PRIVATE", ChatRefuses),
        (400, "USER_BANNED_IN_CHANNEL", ChatRefuses),
        (400, "INVITE_HASH_EXPIRED", ChatRefuses),
        (400, "MESSAGE_TOO_LONG", PermanentError),
        (403, "SOMETHING_NEW", PermanentError),
        (500, "SOMETHING_BROKE", TransientError),
        (500, "RPC_CALL_FAIL", TransientError),
        (503, "Timeout", TransientError),
    ],
)
def test_kind_of_each_refusal(code, name, kind):
    error = refused(code, name)
    assert type(error) is kind


@pytest.mark.parametrize("error", [ConnectionError(), TimeoutError(), asyncio.IncompleteReadError(b"", 4)])
def test_a_broken_connection_is_transient(error):
    assert isinstance(map_error(error), TransientError)


def test_an_unknown_exception_is_permanent_and_keeps_its_text():
    error = map_error(KeyError("chat"))
    assert type(error) is PermanentError
    assert "KeyError" in error.reason
