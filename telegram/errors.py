"""Telegram's errors, in the few kinds that callers treat differently. `telegram.error_table` assigns them.

This module does not import Telethon, because that takes most of a second and most processes only need the names.
"""

from typing import ClassVar, Literal

# Telegram's name for a restriction in all supergroups. Every other restriction concerns first contacts and joining.
SUPERGROUPS_RESTRICTED = "USER_BANNED_IN_CHANNEL"
# The adapter's own reason: the account is neither in the chat nor in the one that the invite link leads to, so Telegram
# does not show whether the two are the same.
NOT_INSIDE = "NOT_INSIDE"
# Bounds of a wait, in seconds. After a wait of 0 a caller would repeat the request at once, and a very long wait would
# overflow a datetime.
SHORTEST_WAIT, LONGEST_WAIT = 1, 10 * 366 * 86_400


class TelegramError(Exception):
    """Telegram refused a request, or the connection to it failed. `reason` is Telegram's own name: FLOOD_WAIT_42."""

    kind: ClassVar[str] = "permanent"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RetryAfter(TelegramError):
    """Telegram asks for a wait of `seconds` before `method` is called again (FLOOD_WAIT, SLOWMODE_WAIT).

    Callers must wait for the whole time. `seconds` is between SHORTEST_WAIT and LONGEST_WAIT, whatever Telegram sent.
    """

    kind = "retry_after"

    def __init__(self, seconds: int, reason: str, method: str) -> None:
        super().__init__(reason)
        self.seconds = min(max(seconds, SHORTEST_WAIT), LONGEST_WAIT)
        self.method = method


class BotRestricted(TelegramError):
    """Telegram restricts the whole account. The restriction stays until an operator has checked the account.

    The account must make no first contacts and join no chats (PEER_FLOOD); with SUPERGROUPS_RESTRICTED it must not
    write in supergroups either.
    """

    kind = "bot_restricted"


class BotFull(TelegramError):
    """The account is in as many chats as Telegram allows and cannot join another."""

    kind = "bot_full"


class BotDead(TelegramError):
    """The account cannot be used: it is banned or frozen, or it is logged out (`needs_login`)."""

    kind = "bot_dead"

    def __init__(self, reason: str, *, needs_login: bool) -> None:
        super().__init__(reason)
        self.needs_login = needs_login


class PeerRefuses(TelegramError):
    """This person cannot be written to: privacy, a block, a deleted account, an unknown name."""

    kind = "peer_refuses"


class ChatRefuses(TelegramError):
    """This chat cannot be written to or entered: no right to write, banned from it, private, gone.

    `says` is the consequence for an account that was in the chat: it was "removed", it is "silenced", or neither ("").
    """

    kind = "chat_refuses"

    def __init__(self, reason: str, *, says: Literal["", "removed", "silenced"] = "") -> None:
        super().__init__(reason)
        self.says = says


class PermanentError(TelegramError):
    """The same request will never succeed."""

    kind = "permanent"


class HistoryTooLong(PermanentError):
    """A search reached its limit before it reached the time in question: the message may or may not exist."""

    def __init__(self) -> None:
        super().__init__("HISTORY_TOO_LONG")


class TransientError(TelegramError):
    """The network or Telegram's servers failed. It is not known whether Telegram carried the request out."""

    kind = "transient"


class PassingError(TransientError):
    """The connection works, but Telegram answered with an error that is temporary or that `error_table` does not list.

    The same request may succeed later. Callers that repeat it must limit the attempts, since the error may be lasting.
    `refused`: Telegram has not carried the request out. If it is False (a failure of Telegram, an unreadable answer),
    it is not known whether Telegram has carried the request out.
    """

    refused = False


class AlreadySent(TelegramError):
    """Telegram has a message with this `random_id` already (RANDOM_ID_DUPLICATE), but does not name its id."""

    kind = "already_sent"


class ReferenceLeadsElsewhere(TelegramError):
    """The reference leads to the chat with the marked id `leads_to`, which is not the expected chat.

    `leads_to` is 0 when Telegram sends only the `title`. Nothing was done, unless the account had to join the chat to
    see its id. `joined`: the account "left" that chat again, "stays" in it, or was in it "before"; "" if it did not
    join.
    """

    kind = "chat_elsewhere"

    def __init__(self, leads_to: int, title: str = "", joined: Literal["", "left", "stays", "before"] = "") -> None:
        super().__init__("REFERENCE_LEADS_ELSEWHERE")
        self.leads_to = leads_to
        self.title = title
        self.joined = joined


class ChatUpgraded(TelegramError):
    """The basic group `upgraded_from` (a marked id) is now the supergroup `telegram_id` and accepts no messages."""

    kind = "chat_upgraded"

    def __init__(self, telegram_id: int, upgraded_from: int) -> None:
        super().__init__("CHAT_UPGRADED")
        self.telegram_id = telegram_id
        self.upgraded_from = upgraded_from
