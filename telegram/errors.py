"""Telegram's refusals, as the few kinds that callers treat differently. `telegram.mapping` tells which is which.

Free of Telethon, whose import costs most of a second: most processes only need the names.
"""

from typing import ClassVar


class TelegramError(Exception):
    """What Telegram or the way to it refused. `reason` is Telegram's own name for it: FLOOD_WAIT_42."""

    kind: ClassVar[str] = "permanent"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RetryAfter(TelegramError):
    """Telegram asks to wait `seconds` with `method` (FLOOD_WAIT, SLOWMODE_WAIT). The whole wait is to be kept."""

    kind = "retry_after"

    def __init__(self, seconds: int, reason: str, method: str) -> None:
        super().__init__(reason)
        self.seconds = seconds
        self.method = method


class BotRestricted(TelegramError):
    """The account was reported too often (PEER_FLOOD): no first contacts until a person has looked."""

    kind = "bot_restricted"


class BotDead(TelegramError):
    """The account cannot be used: banned or frozen, or (`needs_login`) its login is gone."""

    kind = "bot_dead"

    def __init__(self, reason: str, *, needs_login: bool) -> None:
        super().__init__(reason)
        self.needs_login = needs_login


class PeerRefuses(TelegramError):
    """This person cannot be written to: privacy, a block, a deleted account, an unknown name."""

    kind = "peer_refuses"


class ChatRefuses(TelegramError):
    """This chat cannot be written to or entered: no right to write, banned from it, private, gone."""

    kind = "chat_refuses"


class PermanentError(TelegramError):
    """The same request will never succeed."""

    kind = "permanent"


class HistoryTooLong(PermanentError):
    """Searched as far back as is bearable, and not to the time in question: the message may be there or not."""

    def __init__(self) -> None:
        super().__init__("HISTORY_TOO_LONG")


class TransientError(TelegramError):
    """The network or Telegram's servers failed: whether the request was carried out is not known."""

    kind = "transient"


class AlreadySent(TelegramError):
    """A message with this `random_id` is already there (RANDOM_ID_DUPLICATE); Telegram did not say which."""

    kind = "already_sent"
