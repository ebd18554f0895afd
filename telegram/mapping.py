"""Telethon's errors, sorted into the kinds of `telegram.errors`.

Names and meanings: https://core.telegram.org/api/errors and telethon.errors.rpcerrorlist.
"""

import asyncio
import re
import sqlite3

from telethon import errors as rpc

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

# Waits that Telegram asks for without saying how long (seconds).
UNSPECIFIED_WAIT_SECONDS = 60

_BANNED = (
    rpc.UserDeactivatedBanError,
    rpc.UserDeactivatedError,
    rpc.PhoneNumberBannedError,
    rpc.FrozenMethodInvalidError,
    rpc.FrozenParticipantMissingError,
)
_NEEDS_LOGIN = (
    rpc.AuthKeyDuplicatedError,
    rpc.AuthKeyUnregisteredError,
    rpc.AuthKeyInvalidError,
    rpc.AuthKeyPermEmptyError,
    rpc.SessionRevokedError,
    rpc.SessionExpiredError,
    rpc.SessionPasswordNeededError,
    rpc.common.AuthKeyNotFound,
    rpc.UnauthorizedError,
)
_RESTRICTED = (rpc.PeerFloodError, rpc.UserRestrictedError)
_PEER_REFUSES = (
    rpc.UserPrivacyRestrictedError,
    rpc.UserIsBlockedError,
    rpc.YouBlockedUserError,
    rpc.InputUserDeactivatedError,
    rpc.UserIsBotError,
    rpc.UserIdInvalidError,
    rpc.UsernameInvalidError,
    rpc.UsernameNotOccupiedError,
    rpc.UserNotMutualContactError,
)
_CHAT_REFUSES = (
    rpc.ChatWriteForbiddenError,
    rpc.ChatRestrictedError,
    rpc.ChatForbiddenError,
    rpc.ChatGuestSendForbiddenError,
    rpc.ChatAdminRequiredError,
    rpc.ChatIdInvalidError,
    rpc.ChannelPrivateError,
    rpc.ChannelInvalidError,
    rpc.ChannelsTooMuchError,
    rpc.UserBannedInChannelError,
    rpc.UserNotParticipantError,
    rpc.UsersTooMuchError,
    rpc.UserKickedError,
    rpc.InviteHashExpiredError,
    rpc.InviteHashInvalidError,
    rpc.InviteHashEmptyError,
    rpc.InviteRequestSentError,
    rpc.TopicDeletedError,
)


def _spelled(error_type: type[BaseException]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", error_type.__name__.removesuffix("Error")).upper()


# Errors with a number in them are found by pattern, their classes spell the name; but SLOWMODE is one word.
_NAMES: dict[type[BaseException], str] = {
    **{error_type: name for name, error_type in rpc.rpcerrorlist.rpc_errors_dict.items()},
    **{error_type: _spelled(error_type) for _, error_type in rpc.rpcerrorlist.rpc_errors_re},
    rpc.SlowModeWaitError: "SLOWMODE_WAIT",
}
_TRANSIENT_CODES = (-500, -503, 500, 503)
# A muted writer gets a different error by what it wrote (CHAT_SEND_PLAIN_FORBIDDEN and its many siblings).
_CHAT_NAMES = re.compile(r"CHAT_SEND_\w+_FORBIDDEN|TOPIC_CLOSED|CHANNEL_MONOFORUM_UNSUPPORTED")
# Errors newer than Telethon's list.
_PEER_NAMES = re.compile(r"PRIVACY_PREMIUM_REQUIRED|ALLOW_PAYMENT_REQUIRED\w*")


def map_error(error: BaseException) -> TelegramError:
    """Name the kind of `error`. Whatever is not known is permanent: repeating it blindly would do harm."""
    if isinstance(error, TelegramError):
        return error
    if isinstance(error, rpc.RPCError | rpc.common.AuthKeyNotFound):
        return _map_rpc(error)
    if isinstance(error, OSError | EOFError | asyncio.CancelledError | TimeoutError | rpc.InvalidBufferError):
        return TransientError(type(error).__name__)
    if isinstance(error, rpc.SecurityError | rpc.InvalidChecksumError | sqlite3.Error):
        return TransientError(type(error).__name__)
    return PermanentError(f"{type(error).__name__}: {error}"[:280])


def _map_rpc(error: BaseException) -> TelegramError:
    name = error_name(error)
    if isinstance(error, rpc.RandomIdDuplicateError):
        return AlreadySent(name)
    if isinstance(error, _BANNED):
        return BotDead(name, needs_login=False)
    if isinstance(error, _NEEDS_LOGIN):
        return BotDead(name, needs_login=True)
    if isinstance(error, _RESTRICTED):
        return BotRestricted(name)
    seconds = getattr(error, "seconds", None)
    if isinstance(seconds, int):
        return RetryAfter(seconds, name, method_of(error))
    if isinstance(error, rpc.FloodError):
        return RetryAfter(UNSPECIFIED_WAIT_SECONDS, name, method_of(error))
    if isinstance(error, _PEER_REFUSES) or _PEER_NAMES.fullmatch(name):
        return PeerRefuses(name)
    if isinstance(error, _CHAT_REFUSES) or _CHAT_NAMES.fullmatch(name):
        return ChatRefuses(name)
    if isinstance(error, rpc.ServerError | rpc.TimedOutError) or getattr(error, "code", 0) in _TRANSIENT_CODES:
        return TransientError(name)
    return PermanentError(name)


def error_name(error: BaseException) -> str:
    """Telegram's name of an RPC error, with its number: FLOOD_WAIT_42."""
    known = _NAMES.get(type(error))
    if known is None:
        message = str(getattr(error, "message", "") or "")
        known = message if re.fullmatch(r"[A-Z0-9_]+", message) else _spelled(type(error))
    seconds = getattr(error, "seconds", None)
    return f"{known}_{seconds}" if isinstance(seconds, int) else known


def method_of(error: BaseException) -> str:
    """The method that was refused, as Telethon names its request: SendMessage."""
    request = getattr(error, "request", None)
    while request is not None and hasattr(request, "query"):
        request = request.query
    return type(request).__name__.removesuffix("Request") if request is not None else ""
