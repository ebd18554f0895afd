"""Telegram's errors as the few kinds that callers treat differently. `telegram.error_table` tells which is which.

Free of Telethon, whose import costs most of a second: most processes only need the names.
"""

from typing import ClassVar, Literal

# Telegram's names of restrictions in all supergroups at once; any other restriction concerns strangers.
SUPERGROUPS_RESTRICTED = "USER_BANNED_IN_CHANNEL"
# The adapter's name for it: the account is neither in the chat nor where an invite leads, so Telegram does not tell it.
NOT_INSIDE = "NOT_INSIDE"
# Bounds of a wait, in seconds: 0 would be asked again at once, and what is beyond ten years fits no calendar.
SHORTEST_WAIT, LONGEST_WAIT = 1, 10 * 366 * 86_400


class TelegramError(Exception):
    """What Telegram or the way to it refused. `reason` is Telegram's own name for it: FLOOD_WAIT_42."""

    kind: ClassVar[str] = "permanent"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RetryAfter(TelegramError):
    """Telegram asks to wait `seconds` with `method` (FLOOD_WAIT, SLOWMODE_WAIT). The whole wait is to be kept.

    `seconds` are within SHORTEST_WAIT and LONGEST_WAIT, whatever Telegram named.
    """

    kind = "retry_after"

    def __init__(self, seconds: int, reason: str, method: str) -> None:
        super().__init__(reason)
        self.seconds = min(max(seconds, SHORTEST_WAIT), LONGEST_WAIT)
        self.method = method


class BotRestricted(TelegramError):
    """Telegram restricts the whole account until a person has looked: it makes no first contacts and joins nothing
    (PEER_FLOOD), or writes in no supergroup either (SUPERGROUPS_RESTRICTED).
    """

    kind = "bot_restricted"


class BotFull(TelegramError):
    """The account is in as many chats as Telegram allows: it can join no other one."""

    kind = "bot_full"


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
    """This chat cannot be written to or entered: no right to write, banned from it, private, gone.

    `says`: what this means for an account that was in the chat: it was `removed`, it is `silenced`, or neither.
    """

    kind = "chat_refuses"

    def __init__(self, reason: str, *, says: Literal["", "removed", "silenced"] = "") -> None:
        super().__init__(reason)
        self.says = says


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


class PassingError(TransientError):
    """Over a connection that works Telegram answered with an error that may pass, or one that nobody here knows.

    The same request may succeed later. Who repeats it has a ceiling: the error may as well stay. `refused`: Telegram
    has not carried the request out. Otherwise (its own failure, an answer that cannot be read) nobody knows.
    """

    refused = False


class AlreadySent(TelegramError):
    """A message with this `random_id` is already there (RANDOM_ID_DUPLICATE); Telegram did not say which."""

    kind = "already_sent"


class ChatElsewhere(TelegramError):
    """The reference leads to the chat with the marked id `leads_to`, and another one is meant.

    `leads_to` is 0 when Telegram tells only the `title`. Nothing was done, unless the chat had to be joined to see what
    it is: `joined` says whether the account has left it again or stays in it, or was in it before.
    """

    kind = "chat_elsewhere"

    def __init__(self, leads_to: int, title: str = "", joined: Literal["", "left", "stays", "before"] = "") -> None:
        super().__init__("REFERENCE_LEADS_ELSEWHERE")
        self.leads_to = leads_to
        self.title = title
        self.joined = joined


class ChatUpgraded(TelegramError):
    """The basic group `upgraded_from` (a marked id) is the supergroup `telegram_id` now: it takes nothing any more."""

    kind = "chat_upgraded"

    def __init__(self, telegram_id: int, upgraded_from: int) -> None:
        super().__init__("CHAT_UPGRADED")
        self.telegram_id = telegram_id
        self.upgraded_from = upgraded_from
